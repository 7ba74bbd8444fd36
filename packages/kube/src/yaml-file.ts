// One file of the watched directory → decoded objects and problems with their lines.
import { type Document, LineCounter, parseAllDocuments } from "yaml";
import type { KubeObject, ObjectProblem, ObjectRef } from "./contract.ts";
import { decodeObject, formatPath, formatRef } from "./decode.ts";

export interface FileContents {
  /** By `formatRef`. */
  readonly objects: ReadonlyMap<string, KubeObject>;
  readonly problems: readonly ObjectProblem[];
  /** Objects that are in the file and were refused. */
  readonly refused: readonly ObjectRef[];
  /** The text as a whole could not be read: nothing is known of what it holds now. */
  readonly unreadable: boolean;
}

export function readYamlFile(file: string, text: string): FileContents {
  const objects = new Map<string, KubeObject>();
  const problems: ObjectProblem[] = [];
  const refused: ObjectRef[] = [];
  const lines = new LineCounter();
  let unreadable = false;
  const documents = file.endsWith(".jsonl") ? jsonLines(text, lines) : parseAllDocuments(text, { lineCounter: lines });
  for (const document of Array.isArray(documents) ? documents : []) {
    const syntax = document.errors[0];
    if (syntax !== undefined) {
      unreadable = true;
      problems.push({
        file,
        line: syntax.linePos?.[0].line ?? 1,
        ref: undefined,
        path: "$",
        reason: syntax.message.split("\n")[0] ?? "syntax error",
      });
      continue;
    }
    const value: unknown = document.toJS();
    if (value === null || value === undefined) continue;
    const decoded = decodeObject(value);
    if (decoded.kind === "ignored") continue;
    if (decoded.kind === "refused") {
      if (decoded.ref !== undefined) refused.push(decoded.ref);
      problems.push({
        file,
        line: lineOf(document, decoded.path, lines),
        ref: decoded.ref,
        path: formatPath(decoded.path),
        reason: decoded.reason,
      });
      continue;
    }
    const { kind, metadata } = decoded.object;
    const ref = { kind, namespace: metadata.namespace, name: metadata.name };
    const key = formatRef(ref);
    if (objects.has(key))
      problems.push({
        file,
        line: lineOf(document, [], lines),
        ref,
        path: "$",
        reason: "stands twice in this file; the first one is used",
      });
    else objects.set(key, decoded.object);
  }
  return { objects, problems, refused, unreadable };
}

/** One JSON value per line is YAML too, once the lines are documents. */
function jsonLines(text: string, lineCounter: LineCounter) {
  const documents = text.split("\n").filter((line) => line.trim() !== "");
  return parseAllDocuments(documents.join("\n---\n"), { lineCounter });
}

/** The line of the deepest part of the path that exists. */
function lineOf(document: Document, path: readonly (string | number)[], lines: LineCounter): number {
  for (let depth = path.length; depth >= 0; depth--) {
    const node = depth === 0 ? document.contents : document.getIn(path.slice(0, depth), true);
    const range = (node as { range?: readonly number[] } | null | undefined)?.range;
    if (range?.[0] !== undefined) return lines.linePos(range[0]).line;
  }
  return 1;
}
