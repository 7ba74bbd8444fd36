// Connections that leave a pod, redirected to 15001: where they go is decided in @ambit/decide, here it is carried out.
import { identityOf, type SpiffeId } from "@ambit/core";
import {
  completePlan,
  type DialPlan,
  type DoubleHbonePlan,
  type HbonePlan,
  type OutboundDenial,
  planOutbound,
  type ResolveHostnamePlan,
  type TcpPlan,
} from "@ambit/decide";
import type { Credentials, TcpConnection } from "@ambit/engine";
import { connectHeaders, newTraceparent, type OpenTunnelResult, openInner, parseTraceparent, type Tunnel } from "@ambit/hbone";
import type { HostResolver } from "../dns/host-resolver.ts";
import type { Admitted } from "./admission.ts";
import { baggageOf } from "./baggage-of.ts";
import { destinationParty, partyOf } from "./connection-record.ts";
import { describeStatus, describeTunnelFailure, flagOf } from "./end-reasons.ts";
import { Flow } from "./flow.ts";
import { CONNECT_TIMEOUT_MS, type PodContext } from "./pod-context.ts";

export function serveOutbound(context: PodContext, resolver: HostResolver, connection: TcpConnection): void {
  const { worker, pod } = context;
  worker.admission.admit(pod, false, (result) => {
    if (result.kind === "refused") turnAway(context, connection, result.error.message);
    else decide(context, resolver, connection, result.admitted);
  });
}

function decide(context: PodContext, resolver: HostResolver, connection: TcpConnection, { workload }: Admitted): void {
  const { view, data, random } = context.worker;
  const facts = { source: workload, sourceIp: connection.remote.ip, destination: connection.originalDestination() };
  const plan = planOutbound(view, facts, { network: data.network, random });
  if (plan.kind === "resolveHostname") resolve(context, resolver, connection, plan);
  else carryOut(context, connection, plan);
}

function resolve(context: PodContext, resolver: HostResolver, connection: TcpConnection, plan: ResolveHostnamePlan): void {
  const { worker } = context;
  const { hostname, families, source } = plan;
  const party = partyOf(source, identityOf(source), identityOf(source));
  const labels = { direction: "outbound", source: party, destination: {}, service: undefined, isMutualTls: false } as const;
  worker.post({ kind: "hostnameResolved", labels, hostname });
  resolver.resolve(hostname, families, (addresses) => {
    carryOut(context, connection, completePlan(plan, addresses, worker.random));
  });
}

function carryOut(context: PodContext, connection: TcpConnection, plan: DialPlan | OutboundDenial): void {
  const closedBy = context.closedBy();
  if (closedBy !== undefined) {
    turnAway(context, connection, closedBy.message);
    return;
  }
  switch (plan.kind) {
    case "deny":
      turnAway(context, connection, plan.reason);
      return;
    case "tcp":
      overTcp(context, connection, plan);
      return;
    case "hbone":
    case "doubleHbone":
      overHbone(context, connection, plan);
      return;
  }
}

/** Nothing is known of the destination, or it asked to be left alone: as it came, from the pod's own address. */
function overTcp(context: PodContext, connection: TcpConnection, plan: TcpPlan): void {
  const { worker, netns } = context;
  const flow = openFlow(context, connection, plan, undefined, undefined);
  const dial = worker.engine.dialTcp(
    { netns, remote: plan.remote, timeoutMs: CONNECT_TIMEOUT_MS, mark: worker.data.mark },
    (result) => {
      if (result.kind === "failed") flow.fail(503, "CONNECT", `io error: ${result.error.message}`);
      else if (flow.ended) result.connection.reset();
      else flow.join(connection, result.connection);
    },
  );
  flow.dialing(dial);
}

function overHbone(context: PodContext, connection: TcpConnection, plan: HbonePlan | DoubleHbonePlan): void {
  const { worker, pod } = context;
  const identity = identityOf(plan.source);
  const traceparent = newTraceparent();
  const flow = openFlow(context, connection, plan, identity, traceparent);
  // The certificate is waited for here and not before: plaintext destinations need none.
  worker.admission.admit(pod, true, (result) => {
    if (flow.ended) return;
    const credentials = result.kind === "admitted" ? result.admitted.credentials : undefined;
    if (credentials === undefined) {
      const error = result.kind === "refused" ? result.error : worker.credentials.unavailable(identity);
      flow.fail(503, flagOf(error), error.message);
    } else openTunnel(context, connection, plan, credentials, traceparent, flow);
  });
}

function openTunnel(
  context: PodContext,
  connection: TcpConnection,
  plan: HbonePlan | DoubleHbonePlan,
  credentials: Credentials,
  traceparent: string,
  flow: Flow,
): void {
  const { worker, netns, pool } = context;
  const facts = {
    source: connection.remote,
    serviceHostname: plan.destinationService?.hostname,
    baggage: baggageOf(plan.source),
    traceparent,
  };
  const onInner = (result: OpenTunnelResult) => onTunnel(flow, connection, result);
  const onOuter = (result: OpenTunnelResult) => {
    if (plan.kind === "hbone" || result.kind !== "open") onTunnel(flow, connection, result);
    else if (flow.ended) result.tunnel.reset();
    else {
      const headers = connectHeaders({ ...facts, network: worker.data.network });
      const expectedIdentities = plan.innerExpectedIdentities;
      const inner = { outer: result.tunnel, credentials, expectedIdentities, handshakeTimeoutMs: CONNECT_TIMEOUT_MS };
      flow.dialing(openInner(worker.engine, { ...inner, authority: plan.authority, headers }, onInner));
    }
  };
  const attempt = pool.openTunnel(
    {
      netns,
      mark: worker.data.mark,
      credentials,
      expectedIdentities: plan.expectedIdentities,
      remote: plan.remote,
      sourceIp: connection.remote.ip,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      authority: plan.authority,
      headers: connectHeaders(facts),
    },
    onOuter,
  );
  flow.dialing(attempt);
}

function onTunnel(flow: Flow, connection: TcpConnection, result: OpenTunnelResult): void {
  switch (result.kind) {
    case "open":
      joinTunnel(flow, connection, result.tunnel);
      return;
    case "refused":
      flow.fail(result.status, "CONNECT", describeStatus(result.status));
      return;
    case "failed": {
      const { flag, error } = describeTunnelFailure(result.error);
      flow.fail(503, flag, error);
      return;
    }
  }
}

function joinTunnel(flow: Flow, connection: TcpConnection, tunnel: Tunnel): void {
  if (flow.ended) tunnel.reset();
  else flow.join(connection, tunnel);
}

/** @param identity ours on this connection; undefined for plaintext */
function openFlow(
  { worker, pod }: PodContext,
  connection: TcpConnection,
  plan: DialPlan,
  identity: SpiffeId | undefined,
  traceparent: string | undefined,
): Flow {
  const peer = plan.destinationWorkload;
  const proven = identity === undefined || peer === undefined ? undefined : identityOf(peer);
  const record = worker.records.open({
    direction: "outbound",
    pod: pod.uid,
    source: partyOf(plan.source, identity, identity),
    destination: destinationParty(peer, proven),
    service: plan.destinationService,
    isMutualTls: identity !== undefined,
    sourceAddress: connection.remote,
    destinationAddress: plan.remote,
    dialledAddress: connection.originalDestination(),
    hboneTarget: plan.kind === "tcp" ? undefined : plan.authority,
    traceId: traceparent === undefined ? undefined : parseTraceparent(traceparent)?.traceId,
  });
  return new Flow({
    pod: pod.uid,
    socket: "outbound",
    authorization: undefined,
    record,
    connections: worker.connections,
    turnAway: () => connection.reset(),
  });
}

function turnAway({ worker }: PodContext, connection: TcpConnection, reason: string): void {
  worker.records.failed("outbound", connection.remote, connection.originalDestination(), reason);
  connection.reset();
}
