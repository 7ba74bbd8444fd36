// One worker: its copy of the mesh, its pods, and the messages that change them.
import { asMeshError, MeshError, type PodUid, type SpiffeId } from "@ambit/core";
import { MeshState } from "@ambit/discovery";
import { type Engine, onHandshakeSecret } from "@ambit/engine";
import { HostResolver } from "../dns/host-resolver.ts";
import type { LocalPod, ToMain, ToWorker, WorkerData } from "../worker-messages.ts";
import { Admission } from "./admission.ts";
import { ConnectionRecords } from "./connection-record.ts";
import { CredentialStore } from "./credential-store.ts";
import { OpenConnections } from "./open-connections.ts";
import { PodProxy } from "./pod-proxy.ts";
import type { WorkerContext } from "./worker-context.ts";

/** Changes of the number of open sockets are told at most this often. */
const SOCKET_REPORT_MS = 250;
const DRAIN_CHECK_MS = 20;

export class DataPlane {
  readonly #context: WorkerContext;
  readonly #resolver: HostResolver;
  readonly #pods = new Map<PodUid, PodProxy>();
  #isReportDue = false;

  constructor(engine: Engine, data: WorkerData, post: (message: ToMain) => void) {
    const view = new MeshState();
    const credentials = new CredentialStore(engine, (identity) => post({ kind: "needIdentity", identity }));
    this.#context = {
      engine,
      data,
      view,
      credentials,
      admission: new Admission(engine, view, credentials, data.clusterId),
      records: new ConnectionRecords(post, () => Date.now()),
      connections: new OpenConnections(view, () => this.#reportSockets()),
      random: Math.random,
      post,
    };
    this.#resolver = new HostResolver(engine, data.dns?.nameservers ?? [], data.mark);
  }

  handle(message: ToWorker): void {
    const { admission, connections, view } = this.#context;
    switch (message.kind) {
      case "mesh": {
        const change = view.apply(message.update);
        if (change.policies.size > 0 || change.workloads.size > 0) connections.recheck();
        admission.changed();
        return;
      }
      case "meshReady":
        admission.meshReady();
        return;
      case "addPod":
        this.#addPod(message.pod);
        return;
      case "removePod":
        this.#removePod(message.uid);
        return;
      case "svid":
        this.#renew(message.svid);
        return;
      case "svidLost":
        this.#lose(message.identity, message.reason);
        return;
      case "handshakeSecrets":
        this.#reportSecrets(message.run);
        return;
      case "drain":
        for (const pod of this.#pods.values()) pod.drain();
        this.#whenIdle();
        return;
      case "abort":
        this.close();
        return;
    }
  }

  close(): void {
    this.#context.connections.abortAll(drained());
    for (const pod of this.#pods.values()) pod.close(drained());
    this.#pods.clear();
    this.#resolver.close();
    this.#context.credentials.close();
  }

  #addPod(pod: LocalPod): void {
    const { post } = this.#context;
    const { uid } = pod;
    const netns = pod.netns.id;
    // Another worker could not serve the pod and all are asked again: connections here go on.
    if (this.#pods.get(uid)?.pod.netns.id !== netns) {
      this.#removePod(uid);
      try {
        this.#pods.set(uid, new PodProxy(this.#context, pod, this.#resolver));
      } catch (error) {
        post({ kind: "podFailed", uid, netns, error: asMeshError(error, "ZTUNNEL_POD_LISTEN_FAILED").message });
        return;
      }
    }
    post({ kind: "podListening", uid, netns });
  }

  #removePod(uid: PodUid): void {
    const pod = this.#pods.get(uid);
    this.#pods.delete(uid);
    pod?.close(new MeshError("ZTUNNEL_POD_REMOVED", `connection closed: pod ${pod.pod.namespace}/${pod.pod.name} has left`));
  }

  #renew(svid: Parameters<CredentialStore["set"]>[0]): void {
    const { credentials, admission, post } = this.#context;
    const error = credentials.set(svid);
    if (error !== undefined) {
      post({
        kind: "log",
        level: "error",
        message: "certificate cannot be used",
        fields: { identity: svid.identity, error: error.message },
      });
      return;
    }
    for (const pod of this.#pods.values()) pod.renewed(svid.identity);
    admission.changed();
  }

  #lose(identity: SpiffeId, reason: string): void {
    this.#context.credentials.lose(identity, reason);
    for (const pod of this.#pods.values()) {
      // By the agent's facts: discovery may have forgotten the pod before.
      const { namespace, serviceAccount } = pod.pod;
      if (identity.endsWith(`/ns/${namespace}/sa/${serviceAccount}`)) pod.lost(identity);
    }
  }

  #reportSecrets(run: number | undefined): void {
    const { credentials, post } = this.#context;
    if (run === undefined) {
      onHandshakeSecret(undefined);
      return;
    }
    onHandshakeSecret((line) => post({ kind: "handshakeSecret", line }));
    for (const identity of credentials.identities()) {
      for (const pod of this.#pods.values()) pod.renewed(identity);
    }
    post({ kind: "handshakeSecretsBegun", run });
  }

  /** Asks again until nothing is open; what was accepted may still be on its way to becoming a connection. */
  #whenIdle(): void {
    const { admission, connections, engine, post } = this.#context;
    if (admission.waiting + connections.size + this.#resolver.waiting === 0) {
      const pods = [...this.#pods.values()];
      for (const pod of pods) pod.release();
      if (pods.every((pod) => pod.isIdle)) {
        post({ kind: "drained" });
        return;
      }
    }
    engine.after(DRAIN_CHECK_MS, () => this.#whenIdle());
  }

  #reportSockets(): void {
    if (this.#isReportDue) return;
    this.#isReportDue = true;
    const { engine, connections, post } = this.#context;
    engine.after(SOCKET_REPORT_MS, () => {
      this.#isReportDue = false;
      let sessions = 0;
      for (const pod of this.#pods.values()) sessions += pod.sessions;
      post({
        kind: "sockets",
        inbound: sessions + connections.sockets("inbound"),
        outbound: connections.sockets("outbound"),
      });
    });
  }
}

function drained(): MeshError {
  return new MeshError("ZTUNNEL_DRAINED", "connection closed due to connection drain");
}
