// docs/reference/checks.md from the table of findings.
import { findingTable } from "../packages/cli/src/findings.ts";

export function findingDocs(): string {
  const sections = Object.entries(findingTable).map(
    ([code, spec]) => `## ${code}\n**${spec.title}** (${spec.level}, group \`${spec.group}\`)\n\n${spec.remedy}\n`,
  );
  return `# Findings of ambit check\nGenerated from \`packages/cli/src/findings.ts\` by \`npm run docs\`; a test compares.\n\n${sections.join("\n")}`;
}
