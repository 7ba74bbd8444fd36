// npm run docs: writes the documents that are made from code.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { configDocs } from "./config-docs.ts";
import { errorDocs } from "./error-docs.ts";
import { findingDocs } from "./finding-docs.ts";
import { metricDocs } from "./metric-docs.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

export async function generatedDocs(): Promise<Readonly<Record<string, string>>> {
  return {
    "docs/errors.md": await errorDocs(root),
    "docs/config.md": await configDocs(root),
    "docs/metrics.md": metricDocs(),
    "docs/reference/checks.md": findingDocs(),
  };
}

/** Paths whose text is not what the code says. */
export async function staleDocs(): Promise<string[]> {
  const docs = Object.entries(await generatedDocs());
  return docs.filter(([path, text]) => readOr(join(root, path), "") !== text).map(([path]) => path);
}

function readOr(path: string, fallback: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return fallback;
  }
}

if (import.meta.main) {
  for (const [path, text] of Object.entries(await generatedDocs())) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}
