// docs/config.md from the configuration tables of all processes.
import { globSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { type ConfigSpec, describeConfig } from "@ambit/runtime";

/** The document's text: one section per process, one row per key. */
export async function configDocs(root: string): Promise<string> {
  const lines = [
    "# Configuration",
    "",
    "Generated from each process's `config.ts` by `npm run docs`; a test compares. Every key is an environment variable; where several are named the first that is set wins. Durations are written `500ms`, `10s`, `5m`, `24h`.",
  ];
  for (const file of globSync("packages/*/src/{,agent/}config.ts", { cwd: root }).sort()) {
    const module = (await import(pathToFileURL(`${root}/${file}`).href)) as Readonly<Record<string, unknown>>;
    const specs = Object.values(module).filter(isSpec);
    for (const spec of specs) {
      const name = file.includes("/agent/") ? `${file.split("/")[1]}, node agent` : file.split("/")[1];
      lines.push("", `## ${name}`, "", "| Variable | Default | Meaning |", "|---|---|---|");
      for (const { env, description, default: fallback } of describeConfig(spec)) {
        const value = fallback.length > 80 ? "see the source" : fallback;
        lines.push(
          `| ${env.map((variable) => `\`${variable}\``).join(", ")} | ${value === "" ? "" : `\`${value}\``} | ${description} |`,
        );
      }
    }
  }
  return `${lines.join("\n")}\n`;
}

function isSpec(value: unknown): value is ConfigSpec {
  if (typeof value !== "object" || value === null) return false;
  const rows = Object.values(value);
  return rows.length > 0 && rows.every((row) => typeof row === "object" && row !== null && "env" in row && "schema" in row);
}
