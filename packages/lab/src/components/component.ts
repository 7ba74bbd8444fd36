// One process of the mesh itself, and the Pod object that stands for it.
import { randomUUID } from "node:crypto";
import type { Logger } from "@ambit/core";
import type { ObjectWriter } from "@ambit/kube";
import { COMPONENT_ANNOTATION } from "../kubelet/kubelet.ts";
import { PodStatusWriter } from "../kubelet/pod-status.ts";
import { type ProcessSpec, startProcess } from "../namespaced-process.ts";
import { httpIn } from "../network/http-in.ts";
import { type Machine, SYSTEM_NAMESPACE } from "../network/plan.ts";
import { SupervisedProcess } from "../supervised-process.ts";

export interface ComponentSpec {
  /** `ztunnel`, `agent`, `istiod-lite`. */
  readonly component: string;
  readonly machine: Machine;
  /** Name of its Pod object. */
  readonly podName: string;
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly readiness: { readonly port: number; readonly path: string };
  readonly stopGraceMs: number;
  readonly logFile: string;
  /** Asked at every start. */
  process(uid: string): ProcessSpec;
}

export interface ComponentState {
  readonly component: string;
  readonly pod: string;
  readonly node: string;
  readonly pid: number | null;
  readonly running: boolean;
  readonly ready: boolean;
  readonly restarts: number;
}

/** A kubelet starts a container that has died at once, and then ever more slowly. */
const FIRST_RESTART_MS = 50;
const LAST_RESTART_MS = 2_000;
const READINESS_PERIOD_MS = 200;
const READINESS_TIMEOUT_MS = 2_000;

export class Component {
  readonly spec: ComponentSpec;
  readonly uid = randomUUID();
  readonly #writer: ObjectWriter;
  readonly #process: SupervisedProcess;
  readonly #status: PodStatusWriter;
  readonly #logger: Logger;
  #ready = false;
  #looking = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(spec: ComponentSpec, writer: ObjectWriter, logger: Logger) {
    this.spec = spec;
    this.#writer = writer;
    this.#logger = logger;
    this.#status = new PodStatusWriter(writer, SYSTEM_NAMESPACE, spec.podName);
    this.#process = new SupervisedProcess({
      name: `${spec.component} on ${spec.machine.name}`,
      initialBackoffMs: FIRST_RESTART_MS,
      maxBackoffMs: LAST_RESTART_MS,
      start: () => startProcess(spec.process(this.uid), spec.logFile),
      onChange: () => this.#setReady(false),
      logger,
    });
  }

  get state(): ComponentState {
    const { component, podName: pod, machine } = this.spec;
    const { running, restarts, pid = null } = this.#process;
    return { component, pod, node: machine.name, pid, running, ready: this.#ready, restarts };
  }

  /** The Pod object first: a token that is bound to it would be refused while it does not exist. */
  async start(): Promise<void> {
    await this.#writer.apply(this.#podObject());
    this.#process.start();
    this.#timer = setInterval(() => void this.#look(), READINESS_PERIOD_MS);
  }

  restart(): void {
    this.#process.restart(this.spec.stopGraceMs);
  }

  signal(signal: NodeJS.Signals): boolean {
    return this.#process.signal(signal);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#process.stop(this.spec.stopGraceMs);
  }

  async #look(): Promise<void> {
    const { pid } = this.#process;
    if (pid === undefined || this.#looking) return;
    this.#looking = true;
    const { machine, readiness } = this.spec;
    const target = { netns: machine.name, ip: machine.ips[4], port: readiness.port };
    const ready = await httpIn(target, readiness.path, { timeoutMs: READINESS_TIMEOUT_MS, userAgent: "kube-probe/1.0" }).then(
      ({ status }) => status === 200,
      () => false,
    );
    this.#looking = false;
    if (pid === this.#process.pid) this.#setReady(ready);
  }

  #setReady(ready: boolean): void {
    const { running, restarts: restartCount } = this.#process;
    this.#ready = ready && running;
    const { ips } = this.spec.machine;
    this.#status
      .set({
        phase: "Running",
        ips: [ips[4], ips[6]],
        hostIp: ips[4],
        containers: [{ name: this.spec.component, ready: this.#ready, restartCount }],
      })
      .catch((error: unknown) => this.#logger.error("A component's status could not be written", { error }));
  }

  #podObject(): Record<string, unknown> {
    const { component, machine, podName, serviceAccount, labels } = this.spec;
    return {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: podName,
        namespace: SYSTEM_NAMESPACE,
        uid: this.uid,
        creationTimestamp: new Date().toISOString(),
        labels,
        annotations: { [COMPONENT_ANNOTATION]: component },
      },
      spec: {
        nodeName: machine.name,
        hostNetwork: true,
        serviceAccountName: serviceAccount,
        containers: [{ name: component, image: `ambit/${component}:0.1.0` }],
      },
      status: { phase: "Pending" },
    };
  }
}
