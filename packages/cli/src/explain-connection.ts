// The way of one imagined connection through the mesh, step by step, asked of the functions that the proxies ask.
import { formatSocketAddress, identityOf, type Service, type SocketAddress, type SpiffeId, type Workload } from "@ambit/core";
import {
  type Decision,
  explainAuthorization,
  explainOutbound,
  formatDecision,
  keyOf,
  type MeshView,
  type OutboundPlan,
  policiesFor,
  usableEndpoints,
  type Verdict,
} from "@ambit/decide";

export interface ExplainRequest {
  /** What the source's node proxy holds; decides where the connection goes. */
  readonly sourceView: MeshView;
  /** What a destination's node proxy holds; decides whether it is let in. Falls back to the source's view. */
  viewOfNode(node: string): MeshView | undefined;
  readonly source: Workload;
  /** Address and port that the application dials. */
  readonly destination: SocketAddress;
  readonly service?: Service;
}

export interface EndpointVerdict {
  readonly workload: string;
  readonly namespace: string;
  readonly node: string;
  readonly address: string;
  readonly encrypted: boolean;
  readonly sourceIdentity: SpiffeId | undefined;
  readonly decision: Decision<Verdict>;
}

export interface Explanation {
  readonly outcome: "allow" | "deny" | "mixed";
  readonly plan: OutboundPlan;
  readonly endpoints: readonly EndpointVerdict[];
  /** Numbered lines for people. */
  readonly lines: readonly string[];
}

/** An explanation shows every endpoint; where one must stand for all it is the first. */
const FIRST = () => 0;

export function explainConnection(request: ExplainRequest): Explanation {
  const { source, sourceView, destination } = request;
  const lines: string[] = [];
  const step = (title: string, ...texts: readonly string[]) => {
    const number = String(lines.filter((line) => !line.startsWith(" ")).length + 1);
    lines.push(
      `${number} ${title.padEnd(11)} ${texts[0] ?? ""}`.trimEnd(),
      ...texts.slice(1).map((text) => `${" ".repeat(14)}${text}`),
    );
  };
  const sourceIp = source.addresses[0] ?? destination.ip;
  const inMesh = source.tunnelProtocol === "hbone";
  step(
    "capture",
    inMesh
      ? `${place(source)} in mesh, redirected; identity ${identityOf(source)}`
      : `${place(source)} not in mesh: its traffic leaves as it is, without identity`,
  );

  const outbound = explainOutbound(sourceView, { source, sourceIp, destination }, { network: source.network, random: FIRST });
  const plan = outbound.outcome;
  step("resolve", describeDestination(request), ...(inMesh ? formatDecision(outbound) : []));
  step(
    "waypoint",
    "viaWaypoint" in plan && plan.viaWaypoint ? `hop over mutual TLS to ${formatPlanRemote(plan)}` : "none in the way",
  );
  if (inMesh && plan.kind === "deny") {
    step("verdict", `DENY by the source's proxy: ${plan.reason}`);
    return { outcome: "deny", plan, endpoints: [], lines };
  }

  const endpoints = targets(request, plan).map(({ workload, port }) => judge(request, workload, port, inMesh));
  if (endpoints.length === 0) step("L4 policy", "the destination is not a workload of the mesh: nothing here decides");
  for (const endpoint of endpoints) {
    step(
      "L4 policy",
      `at ${endpoint.namespace}/${endpoint.workload} on ${endpoint.node} (${endpoint.address}, ${endpoint.encrypted ? "mutual TLS" : "plaintext"})`,
      ...formatDecision(endpoint.decision),
    );
  }
  const denied = endpoints.filter((endpoint) => endpoint.decision.outcome.kind === "deny").length;
  const outcome = denied === 0 ? "allow" : denied === endpoints.length ? "deny" : "mixed";
  step("verdict", verdictText(outcome, endpoints, denied));
  return { outcome, plan, endpoints, lines };
}

function place(workload: Workload): string {
  return `${workload.namespace}/${workload.name} on ${workload.node || "an unknown node"}`;
}

function describeDestination({ service, destination, sourceView, source }: ExplainRequest): string {
  if (service === undefined) return `${formatSocketAddress(destination)}, addressed directly`;
  const usable = usableOf(sourceView, source, service, destination.port).length;
  return `${service.hostname} ${formatSocketAddress(destination)}, ${usable} usable ${usable === 1 ? "endpoint" : "endpoints"}`;
}

function formatPlanRemote(plan: OutboundPlan): string {
  return "remote" in plan ? formatSocketAddress(plan.remote) : "a name that is resolved on demand";
}

interface Endpoint {
  readonly workload: Workload;
  readonly port: number;
}

/** Everything that the connection could reach: all usable endpoints of a service, or the one workload addressed. */
function targets({ service, destination, sourceView, source }: ExplainRequest, plan: OutboundPlan): readonly Endpoint[] {
  if (service !== undefined) {
    return usableOf(sourceView, source, service, destination.port).map(({ workload, targetPort }) => ({
      workload,
      port: targetPort,
    }));
  }
  const workload = "destinationWorkload" in plan ? plan.destinationWorkload : undefined;
  const found = workload ?? sourceView.workloadByAddress(source.network, destination.ip);
  return found === undefined ? [] : [{ workload: found, port: destination.port }];
}

function usableOf(view: MeshView, source: Workload, service: Service, servicePort: number) {
  return usableEndpoints(view.endpoints(keyOf(service)), { service, servicePort, source, mode: "standard", random: FIRST });
}

function judge(request: ExplainRequest, workload: Workload, port: number, inMesh: boolean): EndpointVerdict {
  const view = request.viewOfNode(workload.node) ?? request.sourceView;
  const encrypted = inMesh && workload.tunnelProtocol === "hbone";
  const ip = workload.addresses[0] ?? request.destination.ip;
  const sourceIdentity = encrypted ? identityOf(request.source) : undefined;
  const enforced = workload.tunnelProtocol === "hbone";
  const facts = { sourceIp: request.source.addresses[0] ?? ip, identity: sourceIdentity, destination: { ip, port } };
  const decision: Decision<Verdict> = enforced
    ? explainAuthorization(policiesFor(view, view.workloadByUid(workload.uid) ?? workload), facts)
    : {
        outcome: { kind: "allow" },
        reasons: [{ subject: "enforcement", finding: "not in mesh: no proxy checks policy here", decides: true }],
      };
  const { name, namespace, node } = workload;
  return { workload: name, namespace, node, address: formatSocketAddress({ ip, port }), encrypted, sourceIdentity, decision };
}

function verdictText(outcome: Explanation["outcome"], endpoints: readonly EndpointVerdict[], denied: number): string {
  if (outcome === "allow") return "ALLOW";
  const first = endpoints.find((endpoint) => endpoint.decision.outcome.kind === "deny")?.decision.outcome;
  const reason = first?.kind === "deny" ? first.reason : "";
  return outcome === "deny" ? `DENY: ${reason}` : `MIXED: ${denied} of ${endpoints.length} endpoints deny (${reason})`;
}
