// The lab put together, inside its namespaces: network, controllers, kubelets, DNS and the mesh's processes.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "@ambit/core";
import { DirectorySource, DirectoryWriter } from "@ambit/kube";
import { createRuleRunner, runCommand } from "@ambit/linux";
import { baseObjects } from "./base-objects.ts";
import { Component } from "./components/component.ts";
import { agentSpec, controlPlaneSpec, type MeshSettings, ztunnelSpec } from "./components/mesh.ts";
import { TOKEN_RENEWAL_MS, TokenIssuer } from "./components/tokens.ts";
import { deploymentWrites } from "./controllers/deployments.ts";
import { endpointSliceWrites } from "./controllers/endpoint-slices.ts";
import { Loop } from "./controllers/loop.ts";
import { schedulingWrites } from "./controllers/scheduler.ts";
import { serviceAddressWrites } from "./controllers/service-addresses.ts";
import { carryOut } from "./controllers/write.ts";
import { DnsServer } from "./dns/server.ts";
import { lookUp } from "./dns/zone.ts";
import { labError } from "./errors.ts";
import { Kubelet } from "./kubelet/kubelet.ts";
import { resolvConfOf } from "./kubelet/pod-worker.ts";
import { createFabric } from "./network/fabric.ts";
import { CONTROL_PLANE, type LabNode, planNodes, SYSTEM_NAMESPACE } from "./network/plan.ts";
import { PodNetwork } from "./network/pod-network.ts";
import type { LabPaths } from "./paths.ts";
import { ServiceProxy } from "./services/service-proxy.ts";

export interface ClusterOptions {
  readonly nodes: readonly string[];
  /** False: plain Kubernetes, without control plane, agents and node proxies. */
  readonly mesh: boolean;
  /** Environment of the mesh's processes, besides what they cannot do without. */
  readonly componentEnv: Readonly<Record<string, string>>;
}

const READY_WITHIN_MS = 60_000;
const LOOK_AGAIN_MS = 20;
/** A port may still be held, a file not yet be there. */
const STARTS_THAT_MAY_FAIL = 3;
const LOG_TAIL_LINES = 15;

export class Cluster {
  readonly paths: LabPaths;
  readonly nodes: readonly LabNode[];
  readonly source: DirectorySource;
  readonly writer: DirectoryWriter;
  readonly kubelet: Kubelet;
  readonly components: Component[] = [];
  readonly options: ClusterOptions;
  readonly #logger: Logger;
  readonly #tokens: TokenIssuer;
  readonly #dns: DnsServer;
  readonly #stop = new AbortController();
  readonly #loops: readonly Loop[];
  #serviceProxy: ServiceProxy | undefined;
  #ready = false;
  #tokenTimer: NodeJS.Timeout | undefined;

  constructor(paths: LabPaths, options: ClusterOptions, logger: Logger) {
    this.paths = paths;
    this.nodes = planNodes(options.nodes);
    this.options = options;
    this.#logger = logger;
    this.#tokens = new TokenIssuer(paths.tokens);
    const source = new DirectorySource({ directory: paths.objects, logger: logger.scope("source") });
    const writer = new DirectoryWriter(paths.objects);
    this.source = source;
    this.writer = writer;
    this.kubelet = new Kubelet(
      { source, writer, network: new PodNetwork(), paths, logger: logger.scope("kubelet"), withCni: options.mesh },
      this.nodes,
    );
    this.#dns = new DnsServer((name) => lookUp(source, name), logger.scope("dns"));
    const controllers = [
      ["Service addresses", () => serviceAddressWrites(source)],
      ["Deployments", () => deploymentWrites(source)],
      ["Scheduling", () => schedulingWrites(source, options.nodes)],
      ["EndpointSlices", () => endpointSliceWrites(source)],
    ] as const;
    this.#loops = [
      ...controllers.map(
        ([name, writes]) => new Loop(name, () => carryOut(writes(), writer, source), logger.scope("controller")),
      ),
      new Loop("Service rules", async () => this.#serviceProxy?.reconcile(), logger.scope("kube-proxy")),
      new Loop("Pods", async () => this.kubelet.reconcile(), logger.scope("kubelet")),
    ];
  }

  /** Resolves when everything that the lab itself runs is ready. @throws LAB_TIMED_OUT naming what is not */
  async start(): Promise<void> {
    const { paths, nodes, source, writer } = this;
    const directories = [
      paths.objects,
      paths.ca,
      paths.tokens,
      paths.logs,
      paths.resolv,
      ...nodes.map(({ name }) => paths.node(name)),
    ];
    for (const directory of directories) await mkdir(directory, { recursive: true, mode: 0o700 });
    await createFabric(CONTROL_PLANE, nodes);
    await this.#dns.start(CONTROL_PLANE.name);
    for (const object of baseObjects(nodes)) await writer.apply(object);
    await source.start(this.#stop.signal);
    this.#serviceProxy = new ServiceProxy(
      { runner: await createRuleRunner(runCommand), source, logger: this.#logger },
      nodes.map(({ name }) => name),
    );
    await this.#serviceProxy.start();
    source.subscribe(() => this.#trigger());
    this.#trigger();
    if (this.options.mesh) await this.#startMesh();
    this.#ready = true;
  }

  /** Everything that the lab itself runs has been ready once. */
  get ready(): boolean {
    return this.#ready;
  }

  async stop(): Promise<void> {
    clearInterval(this.#tokenTimer);
    await this.kubelet.stop();
    await Promise.all(this.#loops.map((loop) => loop.stop()));
    await Promise.all(this.components.map((component) => component.stop()));
    this.#stop.abort();
    this.#dns.close();
    this.#serviceProxy?.close();
  }

  #trigger(): void {
    for (const loop of this.#loops) loop.trigger();
  }

  async #startMesh(): Promise<void> {
    const { paths, nodes } = this;
    const resolvConf = join(paths.resolv, "node");
    await writeFile(resolvConf, resolvConfOf(SYSTEM_NAMESPACE));
    await this.#tokens.publish();
    const settings: MeshSettings = {
      paths,
      tokenKeysFile: this.#tokens.keysFile,
      tokenFileOf: (podName) => join(paths.tokens, `${podName}.jwt`),
      resolvConf,
      env: this.options.componentEnv,
    };
    const make = (spec: Component["spec"]) => {
      const component = new Component(spec, this.writer, this.#logger.scope(spec.component));
      this.components.push(component);
      return component;
    };
    const controlPlane = make(controlPlaneSpec(settings));
    const agents = nodes.map((node) => make(agentSpec(node, settings)));
    const proxies = nodes.map((node) => make(ztunnelSpec(node, settings)));
    const renew = () => Promise.all(proxies.map((proxy) => this.#renewToken(proxy)));
    await renew();
    this.#tokenTimer = setInterval(() => {
      renew().catch((error: unknown) => this.#logger.error("A token could not be renewed", { error }));
    }, TOKEN_RENEWAL_MS);
    // Node proxies read the roots, which the control plane makes, when they start.
    await Promise.all([controlPlane, ...agents].map((component) => component.start()));
    await this.#waitUntilReady([controlPlane]);
    await Promise.all(proxies.map((component) => component.start()));
    await this.#waitUntilReady(this.components);
  }

  async #renewToken({ spec, uid }: Component): Promise<void> {
    const { machine, podName: name, serviceAccount } = spec;
    await this.#tokens.renew({ namespace: SYSTEM_NAMESPACE, serviceAccount, pod: { name, uid }, node: machine.name });
  }

  async #waitUntilReady(components: readonly Component[]): Promise<void> {
    const deadline = Date.now() + READY_WITHIN_MS;
    for (;;) {
      const waiting = components.filter(({ state }) => !state.ready);
      if (waiting.length === 0) return;
      const crashing = waiting.find(({ state }) => state.restarts > STARTS_THAT_MAY_FAIL);
      if (crashing !== undefined) throw await notReady(crashing, `ended ${crashing.state.restarts} times while starting`);
      const [first] = waiting;
      if (first !== undefined && Date.now() > deadline)
        throw await notReady(first, `is not ready after ${READY_WITHIN_MS / 1000} s`);
      await sleep(LOOK_AGAIN_MS);
    }
  }
}

async function notReady({ spec }: Component, what: string): Promise<Error> {
  const log = await readFile(spec.logFile, "utf8").catch(() => "");
  const tail = log.trimEnd().split("\n").slice(-LOG_TAIL_LINES).join("\n");
  return labError("LAB_TIMED_OUT", `${spec.component} on ${spec.machine.name} ${what}; the end of its log:\n${tail}`);
}
