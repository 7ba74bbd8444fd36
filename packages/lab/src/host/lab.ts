// A running lab as the program that started it sees it: outside of its namespaces.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { LabClient } from "../api/client.ts";
import type { LabState } from "../api/contract.ts";
import { labError } from "../errors.ts";
import type { LabInfo } from "../labd.ts";
import { defaultLabDirectory, type LabPaths, labPaths } from "../paths.ts";
import { startNamespaces } from "./namespaces.ts";
import { type ForwardTarget, PortForward } from "./port-forward.ts";
import { identify } from "./process-identity.ts";
import { prepareDirectory, removeDirectory } from "./state-directory.ts";

export interface LabOptions {
  /** Where the lab keeps its state; by default what AMBIT_LAB_DIR or the user's runtime directory say. */
  readonly directory?: string | undefined;
  readonly nodes?: readonly string[] | undefined;
  /** False: nodes and pods only, without control plane, agents and node proxies. */
  readonly mesh?: boolean | undefined;
  /** Environment of the mesh's processes, for example `SECRET_TTL` or `AMBIT_LOG_LEVEL`. */
  readonly componentEnv?: Readonly<Record<string, string>> | undefined;
  /** Called with every new state while the lab starts. */
  readonly onProgress?: ((state: LabState) => void) | undefined;
  /** Ends the start. */
  readonly signal?: AbortSignal | undefined;
}

export const DEFAULT_NODES = ["node-a", "node-b"];
const LOOK_AGAIN_MS = 50;
const STOP_WITHIN_MS = 60_000;
const LOG_TAIL_LINES = 15;
export const LABD_LOG = "labd";

export class Lab {
  readonly client: LabClient;
  readonly paths: LabPaths;
  readonly #labd: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #forwards: PortForward[] = [];

  private constructor(paths: LabPaths, labd: ChildProcess) {
    this.paths = paths;
    this.#labd = labd;
    this.client = new LabClient(paths.socket);
    // A leash whose other end is gone: that labd has ended is seen by its exit.
    labd.stdin?.on("error", () => undefined);
    this.#exited = labd.exitCode === null ? once(labd, "exit") : Promise.resolve();
  }

  /**
   * Resolves when everything that the lab itself runs is ready. The lab ends with this process, however that ends.
   * @throws LAB_ALREADY_RUNNING, LAB_DIRECTORY_UNUSABLE, LAB_NAMESPACES_FORBIDDEN, LAB_START_FAILED with the end of its log
   */
  static async start(options: LabOptions = {}): Promise<Lab> {
    const paths = labPaths(options.directory ?? defaultLabDirectory(process.env));
    await prepareDirectory(paths);
    const info: LabInfo = {
      host: identify(process.pid),
      nodes: options.nodes ?? DEFAULT_NODES,
      mesh: options.mesh ?? true,
      componentEnv: options.componentEnv ?? {},
    };
    await writeFile(paths.info, `${JSON.stringify(info, null, 2)}\n`);
    const log = openSync(paths.log(LABD_LOG), "a", 0o600);
    const lab = new Lab(paths, await startNamespaces(paths, log).finally(() => closeSync(log)));
    try {
      await writeFile(paths.holder, JSON.stringify(identify(lab.#labd.pid)));
      await lab.#started(options);
    } catch (error) {
      await lab.#end();
      throw error;
    }
    return lab;
  }

  /** Resolves when the lab has ended, whoever ended it. */
  get ended(): Promise<unknown> {
    return this.#exited;
  }

  /** Opens a port of this machine's loopback that leads to a Service or pod. @returns the port */
  async forward(target: ForwardTarget, localPort: number): Promise<number> {
    const forward = new PortForward(this.client, target);
    const port = await forward.listen(localPort);
    this.#forwards.push(forward);
    return port;
  }

  /** Ends pods, components and namespaces, and removes the state directory. */
  async stop(): Promise<void> {
    await this.#end();
    await removeDirectory(this.paths);
  }

  async #end(): Promise<void> {
    for (const forward of this.#forwards.splice(0)) await forward.close();
    // The leash: labd ends in order when its standard input does.
    this.#labd.stdin?.end();
    const stop = new AbortController();
    const late = sleep(STOP_WITHIN_MS, undefined, { signal: stop.signal }).then(
      () => void this.#labd.kill("SIGKILL"),
      () => undefined,
    );
    await this.#exited;
    stop.abort();
    await late;
    await this.client.close();
  }

  async #started({ onProgress, signal }: LabOptions): Promise<void> {
    let last = "";
    for (;;) {
      signal?.throwIfAborted();
      if (this.#labd.exitCode !== null || this.#labd.signalCode !== null) throw await this.#startFailed();
      const state = await this.client.state().catch(() => undefined);
      if (state !== undefined) {
        const text = JSON.stringify(state);
        if (text !== last) onProgress?.(state);
        last = text;
        if (state.ready) return;
      }
      await sleep(LOOK_AGAIN_MS);
    }
  }

  async #startFailed(): Promise<Error> {
    const log = await readFile(this.paths.log(LABD_LOG), "utf8");
    const tail = log.trimEnd().split("\n").slice(-LOG_TAIL_LINES).join("\n");
    return labError(
      "LAB_START_FAILED",
      `The lab ended while it was starting; all of its logs are in ${this.paths.logs}:\n${tail}`,
    );
  }
}
