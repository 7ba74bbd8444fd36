// Objects from a watched directory of YAML.
import { type FSWatcher, watch } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { type Clock, type ClockTimer, type Logger, realClock, silentLogger } from "@ambit/core";
import type { KubeObject, ObjectChange, ObjectProblem, ObjectSource } from "./contract.ts";
import { formatRef } from "./decode.ts";
import { type FileContents, readYamlFile } from "./yaml-file.ts";

export interface DirectorySourceOptions {
  readonly directory: string;
  readonly logger?: Logger;
  readonly clock?: Clock;
}

/** After the last event of a burst; writers rename whole files into place, so one short pause is enough. */
const QUIET_MS = 10;
/** File events can be lost (overflow, network file systems): everything is looked at again this often. */
const RESCAN_MS = 2_000;
const FILE_NAME = /\.(ya?ml|json|jsonl)$/;

interface FileState {
  readonly stamp: string;
  readonly contents: FileContents;
}

export class DirectorySource implements ObjectSource {
  readonly #directory: string;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #handlers = new Set<(changes: readonly ObjectChange[]) => void>();
  #files = new Map<string, FileState>();
  #objects = new Map<string, KubeObject>();
  #byKind = new Map<string, readonly KubeObject[]>();
  #problems: readonly ObjectProblem[] = [];
  #scanning: Promise<void> | undefined;
  #again = false;
  #timer: ClockTimer | undefined;

  constructor({ directory, logger = silentLogger, clock = realClock }: DirectorySourceOptions) {
    this.#directory = directory;
    this.#logger = logger;
    this.#clock = clock;
  }

  async start(signal: AbortSignal): Promise<void> {
    const watcher: FSWatcher = watch(this.#directory, { recursive: true, persistent: false }, () => this.#schedule(QUIET_MS));
    watcher.on("error", (error) =>
      this.#logger.warn("watching the directory failed, looking at it every 2 s", { directory: this.#directory, error }),
    );
    signal.addEventListener("abort", () => {
      watcher.close();
      this.#timer?.cancel();
      this.#timer = undefined;
    });
    await this.#scan();
    const rescan = () => {
      if (signal.aborted) return;
      this.#schedule(0);
      this.#clock.after(RESCAN_MS, rescan);
    };
    this.#clock.after(RESCAN_MS, rescan);
  }

  /** Looks at the directory now: whoever has just written into it sees what he wrote. */
  refresh(): Promise<void> {
    return this.#scan();
  }

  list(kind: string): readonly KubeObject[] {
    return this.#byKind.get(kind) ?? [];
  }

  get(kind: string, namespace: string, name: string): KubeObject | undefined {
    return this.#objects.get(formatRef({ kind, namespace, name }));
  }

  subscribe(handler: (changes: readonly ObjectChange[]) => void): () => void {
    this.#handlers.add(handler);
    return () => void this.#handlers.delete(handler);
  }

  problems(): readonly ObjectProblem[] {
    return this.#problems;
  }

  #schedule(delayMs: number): void {
    this.#timer ??= this.#clock.after(delayMs, () => {
      this.#timer = undefined;
      this.#scan().catch((error: unknown) =>
        this.#logger.error("reading the directory failed, the last good state stays", { directory: this.#directory, error }),
      );
    });
  }

  /** One scan at a time; a request during a scan makes another one follow. */
  async #scan(): Promise<void> {
    if (this.#scanning !== undefined) {
      this.#again = true;
      return this.#scanning;
    }
    this.#scanning = (async () => {
      try {
        do {
          this.#again = false;
          await this.#scanOnce();
        } while (this.#again);
      } finally {
        this.#scanning = undefined;
      }
    })();
    return this.#scanning;
  }

  async #scanOnce(): Promise<void> {
    const files = new Map<string, FileState>();
    let changed = false;
    for (const path of await listFiles(this.#directory)) {
      const name = relative(this.#directory, path);
      const known = this.#files.get(name);
      const state = await readIfChanged(path, name, known);
      if (state === undefined) continue;
      changed ||= state !== known;
      files.set(name, state);
    }
    if (!changed && files.size === this.#files.size) return;
    this.#files = files;
    this.#merge();
  }

  /** Files in the order of their names; of an object that stands in two files the first is used. */
  #merge(): void {
    const objects = new Map<string, KubeObject>();
    const origin = new Map<string, string>();
    const problems: ObjectProblem[] = [];
    for (const [file, { contents }] of this.#files) {
      problems.push(...contents.problems);
      for (const [key, object] of contents.objects) {
        const first = origin.get(key);
        if (first === undefined) {
          const previous = this.#objects.get(key);
          objects.set(key, previous !== undefined && isDeepStrictEqual(previous, object) ? previous : object);
          origin.set(key, file);
        } else {
          const { kind, metadata } = object;
          problems.push({
            file,
            line: 1,
            ref: { kind, namespace: metadata.namespace, name: metadata.name },
            path: "$",
            reason: `stands in ${first} too; that one is used`,
          });
        }
      }
    }
    this.#report(problems);
    this.#publish(objects);
  }

  #report(problems: readonly ObjectProblem[]): void {
    const known = new Set(this.#problems.map(describeProblem));
    for (const problem of problems)
      if (!known.has(describeProblem(problem))) this.#logger.warn("object refused", { problem: describeProblem(problem) });
    this.#problems = problems;
  }

  #publish(objects: Map<string, KubeObject>): void {
    const changes: ObjectChange[] = [];
    for (const [key, object] of objects) {
      const previous = this.#objects.get(key);
      if (previous === undefined) changes.push({ type: "added", object });
      else if (previous !== object) changes.push({ type: "modified", object });
    }
    for (const [key, object] of this.#objects) if (!objects.has(key)) changes.push({ type: "deleted", object });
    if (changes.length === 0) return;
    this.#objects = objects;
    this.#byKind = Map.groupBy(objects.values(), (object) => object.kind);
    for (const handler of this.#handlers) handler(changes);
  }
}

/** One line: file, line, object, path and reason. */
export function describeProblem({ file, line, ref, path, reason }: ObjectProblem): string {
  return `${file}:${line}: ${ref === undefined ? "" : `${formatRef(ref)} `}${path} ${reason}`;
}

async function listFiles(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && FILE_NAME.test(entry.name) && !entry.name.startsWith("."))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** undefined when the file has gone meanwhile. */
async function readIfChanged(path: string, name: string, known: FileState | undefined): Promise<FileState | undefined> {
  try {
    const { mtimeMs, size, ino } = await stat(path);
    const stamp = `${mtimeMs}/${size}/${ino}`;
    if (known?.stamp === stamp) return known;
    const contents = readYamlFile(name, await readFile(path, "utf8"));
    return { stamp, contents: known === undefined ? contents : withLastGood(contents, known.contents) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** A refused object keeps its last good version; a file that cannot be read keeps all of them. */
function withLastGood(contents: FileContents, previous: FileContents): FileContents {
  const objects = new Map(contents.objects);
  const kept = contents.unreadable ? [...previous.objects.keys()] : contents.refused.map(formatRef);
  for (const key of kept) {
    const object = previous.objects.get(key);
    if (object !== undefined && !objects.has(key)) objects.set(key, object);
  }
  return { ...contents, objects };
}
