// Whether the facts of a connection satisfy one match of an authorization policy.
import {
  type Cidr,
  cidrContains,
  formatCidr,
  type IpAddress,
  type Match,
  parseSpiffeId,
  principalOf,
  type ServiceAccountMatch,
  type SocketAddress,
  type SpiffeId,
  type StringMatch,
} from "@ambit/core";

/** What authorization knows of a connection. */
export interface ConnectionFacts {
  /** The TCP peer: the pod, or the waypoint when it came through one. */
  readonly sourceIp: IpAddress;
  /** Proven by mutual TLS; undefined for plaintext. */
  readonly identity: SpiffeId | undefined;
  /** The pod's address and real target port, after service translation. */
  readonly destination: SocketAddress;
}

/** The facts in the forms that policies compare. */
export interface Subject {
  readonly principal: string | undefined;
  /** Empty without identity. */
  readonly namespace: string;
  readonly serviceAccount: string | undefined;
  readonly sourceIp: IpAddress;
  readonly destinationIp: IpAddress;
  readonly destinationPort: number;
}

/** One list of a match held against the subject. */
export interface Check {
  /** As AuthorizationPolicy spells the field. */
  readonly field: string;
  readonly values: string;
  readonly actual: string;
  readonly negative: boolean;
  readonly holds: boolean;
}

export function subjectOf(facts: ConnectionFacts): Subject {
  const parts = facts.identity === undefined ? undefined : parseSpiffeId(facts.identity);
  return {
    principal: facts.identity === undefined ? undefined : principalOf(facts.identity),
    namespace: parts?.namespace ?? "",
    serviceAccount: parts?.serviceAccount,
    sourceIp: facts.sourceIp,
    destinationIp: facts.destination.ip,
    destinationPort: facts.destination.port,
  };
}

/**
 * All attributes set must hold; a match with nothing set never holds.
 * With `checks` every list leaves its result there and none is skipped; the answer is the same.
 * @source ztunnel src/rbac.rs RbacMatch
 */
export function matchHolds(match: Match, subject: Subject, checks?: Check[]): boolean {
  if (isEmptyMatch(match)) return false;
  const m = match;
  let holds = attribute("namespaces", m.namespaces, m.notNamespaces, NAMESPACE, subject, checks);
  if (!holds && checks === undefined) return false;
  holds = attribute("principals", m.principals, m.notPrincipals, PRINCIPAL, subject, checks) && holds;
  if (!holds && checks === undefined) return false;
  holds = attribute("serviceAccounts", m.serviceAccounts, m.notServiceAccounts, SERVICE_ACCOUNT, subject, checks) && holds;
  if (!holds && checks === undefined) return false;
  holds = attribute("ipBlocks", m.sourceIps, m.notSourceIps, SOURCE_IP, subject, checks) && holds;
  if (!holds && checks === undefined) return false;
  holds = attribute("destinationIps", m.destinationIps, m.notDestinationIps, DESTINATION_IP, subject, checks) && holds;
  if (!holds && checks === undefined) return false;
  return attribute("ports", m.destinationPorts, m.notDestinationPorts, PORT, subject, checks) && holds;
}

/** "source" or "destination" when the match speaks of one side only. */
export function sideOf(match: Match): "source" | "destination" | "both" {
  const m = match;
  const ofSource =
    m.namespaces.length + m.notNamespaces.length + m.principals.length + m.notPrincipals.length + m.serviceAccounts.length;
  const source = ofSource + m.notServiceAccounts.length + m.sourceIps.length + m.notSourceIps.length > 0;
  const addresses = m.destinationIps.length + m.notDestinationIps.length;
  const destination = addresses + m.destinationPorts.length + m.notDestinationPorts.length > 0;
  if (source === destination) return "both";
  return source ? "source" : "destination";
}

function isEmptyMatch(m: Match): boolean {
  return (
    m.namespaces.length === 0 &&
    m.notNamespaces.length === 0 &&
    m.principals.length === 0 &&
    m.notPrincipals.length === 0 &&
    m.serviceAccounts.length === 0 &&
    m.notServiceAccounts.length === 0 &&
    m.sourceIps.length === 0 &&
    m.notSourceIps.length === 0 &&
    m.destinationIps.length === 0 &&
    m.notDestinationIps.length === 0 &&
    m.destinationPorts.length === 0 &&
    m.notDestinationPorts.length === 0
  );
}

/** How one attribute compares and prints its values. */
interface Attribute<Value> {
  readonly hit: (value: Value, subject: Subject) => boolean;
  readonly show: (value: Value) => string;
  readonly actual: (subject: Subject) => string;
}

const NAMESPACE: Attribute<StringMatch> = {
  hit: (value, subject) => stringMatches(value, subject.namespace),
  show: showStringMatch,
  actual: (subject) => subject.namespace || "no identity",
};
const PRINCIPAL: Attribute<StringMatch> = {
  hit: (value, subject) => subject.principal !== undefined && stringMatches(value, subject.principal),
  show: showStringMatch,
  actual: (subject) => subject.principal ?? "no identity",
};
const SERVICE_ACCOUNT: Attribute<ServiceAccountMatch> = {
  hit: (value, subject) => value.serviceAccount === subject.serviceAccount && value.namespace === subject.namespace,
  show: (value) => `${value.namespace}/${value.serviceAccount}`,
  actual: (subject) => (subject.serviceAccount === undefined ? "no identity" : `${subject.namespace}/${subject.serviceAccount}`),
};
const SOURCE_IP: Attribute<Cidr> = {
  hit: (value, subject) => cidrContains(value, subject.sourceIp),
  show: formatCidr,
  actual: (subject) => subject.sourceIp,
};
const DESTINATION_IP: Attribute<Cidr> = {
  hit: (value, subject) => cidrContains(value, subject.destinationIp),
  show: formatCidr,
  actual: (subject) => subject.destinationIp,
};
const PORT: Attribute<number> = {
  hit: (value, subject) => value === subject.destinationPort,
  show: String,
  actual: (subject) => String(subject.destinationPort),
};

/** (positive list empty or any hit) and (no negative hit). */
function attribute<Value>(
  field: string,
  positive: readonly Value[],
  negative: readonly Value[],
  kind: Attribute<Value>,
  subject: Subject,
  checks: Check[] | undefined,
): boolean {
  const included = positive.length === 0 || anyHit(positive, kind, subject);
  const excluded = anyHit(negative, kind, subject);
  if (checks !== undefined) {
    if (positive.length > 0) checks.push(check(field, positive, kind, subject, false, included));
    if (negative.length > 0) checks.push(check(notField(field), negative, kind, subject, true, !excluded));
  }
  return included && !excluded;
}

function anyHit<Value>(values: readonly Value[], kind: Attribute<Value>, subject: Subject): boolean {
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value !== undefined && kind.hit(value, subject)) return true;
  }
  return false;
}

function check<Value>(
  field: string,
  values: readonly Value[],
  kind: Attribute<Value>,
  subject: Subject,
  negative: boolean,
  holds: boolean,
): Check {
  return { field, values: `[${values.map(kind.show).join(", ")}]`, actual: kind.actual(subject), negative, holds };
}

function notField(field: string): string {
  return `not${field.charAt(0).toUpperCase()}${field.slice(1)}`;
}

/** Byte-wise; presence means not empty. */
export function stringMatches(match: StringMatch, text: string): boolean {
  switch (match.kind) {
    case "exact":
      return text === match.value;
    case "prefix":
      return text.startsWith(match.value);
    case "suffix":
      return text.endsWith(match.value);
    case "presence":
      return text !== "";
  }
}

function showStringMatch(match: StringMatch): string {
  switch (match.kind) {
    case "exact":
      return match.value;
    case "prefix":
      return `${match.value}*`;
    case "suffix":
      return `*${match.value}`;
    case "presence":
      return "*";
  }
}
