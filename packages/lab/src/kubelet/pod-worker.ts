// One pod on its node, from the network namespace to the last process: what kubelet and container runtime do together.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Backoff, type Logger } from "@ambit/core";
import type { ObjectSource, ObjectWriter, Pod } from "@ambit/kube";
import { messageOf } from "../errors.ts";
import type { ProcessSpec } from "../namespaced-process.ts";
import { CLUSTER_DOMAIN, DNS_SERVICE_IPS, type LabNode } from "../network/plan.ts";
import type { PodNetwork, PodSandbox } from "../network/pod-network.ts";
import type { LabPaths } from "../paths.ts";
import { callCni } from "./cni.ts";
import { ContainerRunner } from "./container-runner.ts";
import { containerEnvironment } from "./environment.ts";
import { PodStatusWriter } from "./pod-status.ts";

export interface KubeletDeps {
  readonly source: ObjectSource;
  readonly writer: ObjectWriter;
  readonly network: PodNetwork;
  readonly paths: LabPaths;
  readonly logger: Logger;
  /** Without a mesh there is no agent that a CNI plugin could ask. */
  readonly withCni: boolean;
}

const DEFAULT_GRACE_S = 30;
const CNI_DELETE_TRIES = 5;

export class PodWorker {
  readonly #deps: KubeletDeps;
  readonly #pod: Pod;
  readonly #node: LabNode;
  readonly #status: PodStatusWriter;
  readonly #stop = new AbortController();
  #sandbox: PodSandbox | undefined;
  #containers: readonly ContainerRunner[] = [];
  #running: Promise<void> | undefined;

  constructor(deps: KubeletDeps, pod: Pod, node: LabNode) {
    this.#deps = deps;
    this.#pod = pod;
    this.#node = node;
    this.#status = new PodStatusWriter(deps.writer, pod.metadata.namespace, pod.metadata.name);
  }

  get sandbox(): PodSandbox | undefined {
    return this.#sandbox;
  }

  /** How another program is started inside the pod's first container; undefined while there is none. */
  execSpec(argv: readonly string[]): ProcessSpec | undefined {
    return this.#containers[0]?.spec(argv);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends the containers, takes the network away. Resolves when nothing of the pod is left on the node. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    const graceMs = (this.#pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_S) * 1000;
    await Promise.all(this.#containers.map((container) => container.stop(graceMs)));
    if (this.#sandbox !== undefined) await this.#tearDown(this.#sandbox);
    this.#sandbox = undefined;
  }

  async #run(): Promise<void> {
    const sandbox = await this.#setUp();
    if (sandbox === undefined) return;
    this.#sandbox = sandbox;
    const { name, namespace } = this.#pod.metadata;
    const resolvConf = join(this.#deps.paths.resolv, `${namespace}_${name}`);
    await writeFile(resolvConf, resolvConfOf(namespace));
    const facts = { ips: [sandbox.ips[4], sandbox.ips[6]], hostIp: this.#node.ips[4] };
    this.#containers = this.#pod.spec.containers.map(
      (container) =>
        new ContainerRunner({
          pod: this.#pod,
          container,
          sandbox,
          env: () => containerEnvironment(this.#pod, container, facts, this.#deps.source),
          resolvConf,
          logFile: this.#deps.paths.log(`${namespace}_${name}`),
          logger: this.#deps.logger,
          onChange: () => this.#tell(),
        }),
    );
    for (const container of this.#containers) container.start();
    this.#tell();
  }

  /** Tries until it works, each time with a new namespace, as container runtimes do. Undefined when the pod was deleted meanwhile. */
  async #setUp(): Promise<PodSandbox | undefined> {
    const backoff = new Backoff({ initialMs: 500, maxMs: 10_000 });
    const { signal } = this.#stop;
    while (!signal.aborted) {
      let sandbox: PodSandbox | undefined;
      try {
        sandbox = await this.#deps.network.attach(this.#node);
        if (this.#deps.withCni) await this.#cni("ADD", sandbox);
        return sandbox;
      } catch (error) {
        const problem = messageOf(error);
        this.#deps.logger.warn("A pod could not be set up, trying again", { pod: this.#pod.metadata.name, problem });
        if (sandbox !== undefined) await this.#tearDown(sandbox);
        await this.#status.set({ phase: "Pending", ips: [], hostIp: this.#node.ips[4], containers: [], problem });
        await sleep(backoff.next(), undefined, { signal }).catch(() => undefined);
      }
    }
    return undefined;
  }

  /** The namespace goes in any case; the agent notices what the plugin could not tell it. */
  async #tearDown(sandbox: PodSandbox): Promise<void> {
    const { network, logger, withCni } = this.#deps;
    for (let left = withCni ? CNI_DELETE_TRIES : 0; left > 0; left--) {
      try {
        await this.#cni("DEL", sandbox);
        break;
      } catch (error) {
        logger.warn("CNI DEL failed", { pod: this.#pod.metadata.name, reason: messageOf(error), triesLeft: left - 1 });
        await sleep(500);
      }
    }
    await network.detach(sandbox);
  }

  #cni(command: "ADD" | "DEL", sandbox: PodSandbox): Promise<void> {
    const { name, namespace, uid = "" } = this.#pod.metadata;
    return callCni(command, sandbox, { name, namespace, uid }, this.#deps.paths.node(this.#node.name));
  }

  #tell(): void {
    const sandbox = this.#sandbox;
    if (sandbox === undefined) return;
    const { logger } = this.#deps;
    this.#status
      .set({
        phase: "Running",
        ips: [sandbox.ips[4], sandbox.ips[6]],
        hostIp: this.#node.ips[4],
        containers: this.#containers.map(({ state }) => state),
      })
      .catch((error: unknown) => logger.error("A pod's status could not be written", { pod: this.#pod.metadata.name, error }));
  }
}

/** @source Kubernetes: dnsPolicy ClusterFirst */
export function resolvConfOf(namespace: string): string {
  const search = [`${namespace}.svc.${CLUSTER_DOMAIN}`, `svc.${CLUSTER_DOMAIN}`, CLUSTER_DOMAIN].join(" ");
  return `search ${search}\nnameserver ${DNS_SERVICE_IPS[4]}\noptions ndots:5\n`;
}
