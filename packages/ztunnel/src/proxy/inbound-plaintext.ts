// Plaintext that reaches a pod, redirected to 15006: authorized without an identity, then passed on to where it was going.
import { authorize, type ConnectionFacts, planInboundPassthrough, policiesFor } from "@ambit/decide";
import type { TcpConnection } from "@ambit/engine";
import { destinationParty, partyOf } from "./connection-record.ts";
import { Flow } from "./flow.ts";
import { CONNECT_TIMEOUT_MS, type PodContext } from "./pod-context.ts";

export function serveInboundPlaintext(context: PodContext, connection: TcpConnection): void {
  const { worker, pod } = context;
  worker.admission.admit(pod, false, (result) => {
    if (result.kind === "admitted") pass(context, connection);
    else turnAway(context, connection, result.error.message);
  });
}

function pass(context: PodContext, connection: TcpConnection): void {
  const { worker, pod, netns } = context;
  const { data, engine, view } = worker;
  const destination = connection.originalDestination();
  const plan = planInboundPassthrough(view, { local: worker.admission.workloadOf(pod), destination });
  if (plan.kind === "refuse") {
    turnAway(context, connection, plan.reason);
    return;
  }
  const facts: ConnectionFacts = { sourceIp: connection.remote.ip, identity: undefined, destination: plan.destination };
  const record = worker.records.open({
    direction: "inbound",
    pod: pod.uid,
    source: partyOf(view.workloadByAddress(data.network, connection.remote.ip), undefined, undefined),
    destination: destinationParty(plan.local, undefined),
    service: plan.service,
    isMutualTls: false,
    sourceAddress: connection.remote,
    destinationAddress: plan.destination,
  });
  const flow = new Flow({
    pod: pod.uid,
    socket: "inbound",
    authorization: { workload: plan.local.uid, facts },
    record,
    connections: worker.connections,
    turnAway: () => connection.reset(),
  });
  const verdict = authorize(policiesFor(view, plan.local), facts, (policy) =>
    worker.post({
      kind: "dryRunMatch",
      policy: `${policy.namespace}/${policy.name}`,
      source: connection.remote.ip,
      destination: `${plan.destination.ip}:${plan.destination.port}`,
    }),
  );
  if (verdict.kind === "deny") {
    flow.fail(401, "DENY", `connection closed due to policy rejection: ${verdict.reason}`);
    return;
  }
  const spoof = data.originalSource === false ? {} : { transparentSource: connection.remote.ip };
  const options = { netns, remote: plan.destination, timeoutMs: CONNECT_TIMEOUT_MS, mark: data.mark, ...spoof };
  const dial = engine.dialTcp(options, (result) => {
    if (result.kind === "failed") flow.fail(503, "CONNECT", `connection failed: ${result.error.message}`);
    else if (flow.ended) result.connection.reset();
    else flow.join(connection, result.connection);
  });
  flow.dialing(dial);
}

function turnAway({ worker }: PodContext, connection: TcpConnection, reason: string): void {
  worker.records.failed("inbound", connection.remote, connection.originalDestination(), reason);
  connection.reset();
}
