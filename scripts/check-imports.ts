// Checks the import arrows; also fails when the tool saw suspiciously few modules, which would mean that it checked nothing.
import { execFileSync } from "node:child_process";

const MINIMUM_MODULES = 100;

interface CruiseResult {
  readonly summary: {
    readonly totalCruised: number;
    readonly violations: readonly { readonly from: string; readonly to: string; readonly rule: { readonly name: string } }[];
  };
}

const args = ["--config", ".dependency-cruiser.cjs", "--output-type", "json", "packages", "deploy/samples", "e2e", "scripts"];
let output: string;
try {
  output = execFileSync("depcruise", args, { encoding: "utf8", maxBuffer: 256 << 20 });
} catch (error) {
  // Violations make the tool exit non-zero, with the same JSON on standard output.
  output = String((error as { stdout?: string }).stdout ?? "");
  if (output === "") throw error;
}
const { summary } = JSON.parse(output) as CruiseResult;
for (const { rule, from, to } of summary.violations) console.log(`${rule.name}: ${from} -> ${to}`);
console.log(`${summary.totalCruised} modules, ${summary.violations.length} forbidden imports`);
if (summary.totalCruised < MINIMUM_MODULES)
  console.log(`expected at least ${MINIMUM_MODULES} modules: is the tool configured right?`);
process.exitCode = summary.violations.length > 0 || summary.totalCruised < MINIMUM_MODULES ? 1 : 0;
