// One container: its process, and what its probes say of it.
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "@ambit/core";
import type { Container, Pod } from "@ambit/kube";
import { messageOf } from "../errors.ts";
import { type ProcessSpec, startProcess } from "../namespaced-process.ts";
import type { PodSandbox } from "../network/pod-network.ts";
import { SupervisedProcess } from "../supervised-process.ts";
import { workingDirectoryOf } from "./images.ts";
import type { ContainerState } from "./pod-status.ts";
import { type ProbeSpec, probeOnce } from "./probe.ts";

const FIRST_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 60_000;
/** Until a container is ready it is asked more often than its period says: a lab is waited for. */
const STARTING_PERIOD_MS = 250;

export interface ContainerDeps {
  readonly pod: Pod;
  readonly container: Container;
  readonly sandbox: PodSandbox;
  readonly env: () => Record<string, string>;
  readonly resolvConf: string;
  readonly logFile: string;
  readonly logger: Logger;
  onChange(): void;
}

export class ContainerRunner {
  readonly #deps: ContainerDeps;
  readonly #process: SupervisedProcess;
  readonly #stop = new AbortController();
  #ready = false;
  #probing: Promise<unknown> | undefined;

  constructor(deps: ContainerDeps) {
    this.#deps = deps;
    const { container, logger, onChange } = deps;
    this.#process = new SupervisedProcess({
      name: container.name,
      initialBackoffMs: FIRST_BACKOFF_MS,
      maxBackoffMs: MAX_BACKOFF_MS,
      start: () => startProcess(this.spec(), deps.logFile),
      onChange: () => {
        // A new process has to prove itself anew.
        this.#ready = this.#process.running && container.readinessProbe === undefined;
        onChange();
      },
      logger,
    });
  }

  start(): void {
    const { readinessProbe, livenessProbe } = this.#deps.container;
    this.#process.start();
    const loops: Promise<void>[] = [];
    if (readinessProbe !== undefined) loops.push(this.#watchReadiness(readinessProbe));
    if (livenessProbe !== undefined) loops.push(this.#watchLiveness(livenessProbe));
    this.#probing = Promise.all(loops);
  }

  async stop(graceMs: number): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#process.stop(graceMs), this.#probing]);
  }

  /** How the container's program, or another one beside it, is started. @throws LAB_IMAGE_UNKNOWN */
  spec(argv?: readonly string[]): ProcessSpec {
    const { container, sandbox, env, resolvConf } = this.#deps;
    return {
      argv: argv ?? [...(container.command ?? []), ...(container.args ?? [])],
      cwd: workingDirectoryOf(container.image),
      env: env(),
      netns: sandbox.netns,
      resolvConf,
    };
  }

  get state(): ContainerState {
    const { name } = this.#deps.container;
    const { running, restarts: restartCount, lastEnd } = this.#process;
    if (running) return { name, ready: this.#ready, restartCount };
    return {
      name,
      ready: false,
      restartCount,
      waiting: { reason: lastEnd === "" ? "ContainerCreating" : "CrashLoopBackOff", message: lastEnd },
    };
  }

  async #watchReadiness(probe: ProbeSpec): Promise<void> {
    let failures = 0;
    await this.#everyPeriod(
      probe,
      () => (this.#ready ? probe.periodSeconds * 1000 : STARTING_PERIOD_MS),
      (problem) => {
        failures = problem === undefined ? 0 : failures + 1;
        if (problem !== undefined && (!this.#ready || failures < probe.failureThreshold)) return;
        this.#setReady(problem === undefined);
      },
    );
  }

  async #watchLiveness(probe: ProbeSpec): Promise<void> {
    let failures = 0;
    await this.#everyPeriod(
      probe,
      () => probe.periodSeconds * 1000,
      (problem) => {
        failures = problem === undefined ? 0 : failures + 1;
        if (failures < probe.failureThreshold) return;
        failures = 0;
        this.#deps.logger.warn("Liveness probe failed, the container is restarted", {
          container: this.#deps.container.name,
          problem,
        });
        this.#process.restart(FIRST_BACKOFF_MS);
      },
    );
  }

  async #everyPeriod(probe: ProbeSpec, periodMs: () => number, tell: (problem: string | undefined) => void): Promise<void> {
    const { signal } = this.#stop;
    const { sandbox, pod, logger } = this.#deps;
    const pause = (ms: number) => sleep(ms, undefined, { signal }).catch(() => undefined);
    await pause(probe.initialDelaySeconds * 1000);
    while (!signal.aborted) {
      const { pid } = this.#process;
      try {
        const problem = pid === undefined ? "not running" : await probeOnce(sandbox.node.name, sandbox.ips[4], pod, probe);
        // What was asked of a process that has ended meanwhile says nothing about its successor.
        if (pid !== undefined && pid === this.#process.pid) tell(problem);
      } catch (error) {
        logger.warn("A probe could not be made", { reason: messageOf(error) });
      }
      await pause(periodMs());
    }
  }

  #setReady(ready: boolean): void {
    if (this.#ready === ready || !this.#process.running) return;
    this.#ready = ready;
    this.#deps.onChange();
  }
}
