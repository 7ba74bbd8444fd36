// Shows what the engine's speed rules are worth on this machine. Both ends run in one thread: read the ratios.
// Run with: node packages/engine/bench/main.ts
import { measureChunks } from "./chunks.ts";
import { measureFlush } from "./flush.ts";
import { measureSystemCalls } from "./system-calls.ts";

for (const measure of [measureSystemCalls, measureFlush, measureChunks]) {
  const { title, rows } = await measure();
  console.log(`\n${title}`);
  for (const [name, value, unit] of rows) console.log(`  ${name.padEnd(64)} ${value.toFixed(2).padStart(10)} ${unit}`);
}
process.exit(0);
