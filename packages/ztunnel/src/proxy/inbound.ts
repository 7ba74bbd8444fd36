// HBONE connections that peers make to a pod on 15008: proven, planned, authorized, delivered.
import { identityOf, parseIp, type SocketAddress, type Workload } from "@ambit/core";
import { authorize, type ConnectionFacts, type DeliverPlan, planInbound, policiesFor } from "@ambit/decide";
import type { TcpConnection } from "@ambit/engine";
import {
  acceptHbone,
  type HboneServerSession,
  headerValue,
  type IncomingTunnel,
  parseBaggage,
  parseForwardedHost,
  parseTraceparent,
} from "@ambit/hbone";
import type { Party } from "../worker-messages.ts";
import { baggageOf, partyFromBaggage } from "./baggage-of.ts";
import { destinationParty, partyOf } from "./connection-record.ts";
import { Flow } from "./flow.ts";
import { CONNECT_TIMEOUT_MS, HANDSHAKE_TIMEOUT_MS, type PodContext } from "./pod-context.ts";
import { proxyHeader } from "./proxy-header.ts";

const LOOPBACK_V4 = parseIp("127.0.0.1");

/** The certificate is chosen by the pod that owns the listener, never by what the peer says. */
export function serveInbound(context: PodContext, connection: TcpConnection): void {
  const { worker, pod, sessions } = context;
  worker.admission.admit(pod, true, (result) => {
    const credentials = result.kind === "admitted" ? result.admitted.credentials : undefined;
    if (credentials === undefined) {
      const reason = result.kind === "refused" ? result.error.message : "no certificate";
      worker.records.failed("inbound", connection.remote, connection.local, reason);
      connection.reset();
      return;
    }
    const session: HboneServerSession = acceptHbone(connection, {
      credentials,
      handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS,
      onTunnel: (tunnel) => serveTunnel(context, tunnel),
      onFailed: (error) => {
        // A session that had served is ended by its tunnels' own records; only a failed start has none.
        if (session.peerIdentity === undefined)
          worker.records.failed("inbound", connection.remote, connection.local, error.message);
      },
      onClosed: () => {
        sessions.delete(session);
        worker.connections.changed();
      },
    });
    sessions.add(session);
    worker.connections.changed();
    // Accepted before the listeners closed, admitted only now: the peer is told like all others.
    if (context.isDraining()) session.drain();
  });
}

function serveTunnel(context: PodContext, tunnel: IncomingTunnel): void {
  const { worker, pod } = context;
  const { view } = worker;
  const forwarded = headerValue(tunnel.headers, "forwarded");
  const forwardedHost = forwarded === undefined ? undefined : parseForwardedHost(forwarded);
  const plan = planInbound(view, {
    method: tunnel.method,
    authority: tunnel.authority,
    local: worker.admission.workloadOf(pod),
    localIp: tunnel.local.ip,
    ...(forwardedHost === undefined ? {} : { forwardedHost }),
  });
  if (plan.kind === "refuse") {
    worker.records.failed("inbound", tunnel.remote, tunnel.local, plan.reason);
    tunnel.refuse(plan.status);
    return;
  }
  const facts: ConnectionFacts = { sourceIp: tunnel.remote.ip, identity: tunnel.peerIdentity, destination: plan.destination };
  const flow = openFlow(context, tunnel, plan, facts);
  tunnel.onCancelled(() => flow.fail(503, "-", "the peer gave up before the destination was reached"));
  const verdict = authorize(policiesFor(view, plan.local), facts, (policy) =>
    worker.post({
      kind: "dryRunMatch",
      policy: `${policy.namespace}/${policy.name}`,
      source: tunnel.remote.ip,
      destination: `${plan.destination.ip}:${plan.destination.port}`,
    }),
  );
  if (verdict.kind === "deny") {
    flow.fail(401, "DENY", `connection closed due to policy rejection: ${verdict.reason}`);
    return;
  }
  deliver(context, tunnel, plan, flow);
}

/** The application is dialled first; only when it has answered does the peer get its 200. */
function deliver({ worker, netns }: PodContext, tunnel: IncomingTunnel, plan: DeliverPlan, flow: Flow): void {
  const { data, engine } = worker;
  const remote = dialledAddress(plan, data.localhostAppTunnel);
  const isLocal = remote.ip !== plan.destination.ip;
  const spoof = data.originalSource !== false && !isLocal ? { transparentSource: tunnel.remote.ip } : {};
  const dial = engine.dialTcp({ netns, remote, timeoutMs: CONNECT_TIMEOUT_MS, mark: data.mark, ...spoof }, (result) => {
    if (result.kind === "failed") {
      flow.fail(503, "CONNECT", `connection failed: ${result.error.message}`);
      return;
    }
    if (flow.ended) {
      result.connection.reset();
      return;
    }
    const proxied = plan.applicationTunnel?.proxyDestination;
    if (proxied !== undefined) result.connection.write(proxyHeader(tunnel.remote, proxied, tunnel.peerIdentity));
    const baggage = data.responseBaggage ? baggageOf(plan.local) : "";
    flow.join(tunnel.accept(baggage === "" ? [] : [["baggage", baggage]]), result.connection);
  });
  flow.dialing(dial);
}

/** An application that ends tunnels itself is reached over loopback, so that only its own pod's proxy can speak to it. */
function dialledAddress(plan: DeliverPlan, localhostAppTunnel: boolean): SocketAddress {
  if (plan.applicationTunnel === undefined || !localhostAppTunnel || LOOPBACK_V4 === undefined) return plan.destination;
  return { ip: LOOPBACK_V4, port: plan.destination.port };
}

function openFlow({ worker, pod }: PodContext, tunnel: IncomingTunnel, plan: DeliverPlan, facts: ConnectionFacts): Flow {
  const traceparent = headerValue(tunnel.headers, "traceparent");
  const record = worker.records.open({
    direction: "inbound",
    pod: pod.uid,
    source: sourceParty(worker.view.workloadByAddress(worker.data.network, tunnel.remote.ip), tunnel, worker.data.network),
    destination: destinationParty(plan.local, identityOf(plan.local)),
    service: plan.service,
    isMutualTls: true,
    sourceAddress: tunnel.remote,
    destinationAddress: tunnel.local,
    hboneTarget: tunnel.authority,
    traceId: traceparent === undefined ? undefined : parseTraceparent(traceparent)?.traceId,
  });
  return new Flow({
    pod: pod.uid,
    socket: undefined,
    authorization: { workload: plan.local.uid, facts },
    record,
    connections: worker.connections,
    turnAway: (status) => tunnel.refuse(status),
  });
}

/** What discovery knows of the peer's address wins over what the peer says; from another network its address means nothing here. */
function sourceParty(known: Workload | undefined, tunnel: IncomingTunnel, network: string): Party {
  const origin = headerValue(tunnel.headers, "x-forwarded-network");
  const isForeign = origin !== undefined && origin !== network;
  if (known !== undefined && !isForeign) return partyOf(known, tunnel.peerIdentity, tunnel.peerIdentity);
  const baggage = tunnel.headers.filter(([name]) => name === "baggage").map(([, value]) => value);
  return partyFromBaggage(parseBaggage(baggage), tunnel.peerIdentity);
}
