// Authorization messages <-> the vocabulary's Authorization.
import { type Authorization, type Cidr, ipToBytes, type Match, type ServiceAccountMatch, type StringMatch } from "@ambit/core";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { enumNames } from "./enum-names.ts";
import { decoding, invalidField } from "./errors.ts";
import {
  type Address as AddressMessage,
  AuthorizationSchema,
  type Match as MatchMessage,
  MatchSchema,
  type ServiceAccountMatch as ServiceAccountMessage,
  type StringMatch as StringMatchMessage,
  StringMatchSchema,
} from "./gen/authorization_pb.js";
import { decodePort } from "./port-codec.ts";
import { decodeCidr } from "./wire-addresses.ts";

const scopes = enumNames<Authorization["scope"]>(["global", "namespace", "workloadSelector"]);
const actions = enumNames<Authorization["action"]>(["allow", "deny"]);

/** @throws API_MESSAGE_UNDECODABLE, API_RESOURCE_INVALID with the field's path */
export function decodeAuthorization(bytes: Uint8Array): Authorization {
  const message = decoding("istio.security.Authorization", () => fromBinary(AuthorizationSchema, bytes));
  if (message.name === "") throw invalidField("name", "is empty");
  return {
    name: message.name,
    namespace: message.namespace,
    scope: scopes.decode("scope", message.scope),
    action: actions.decode("action", message.action),
    dryRun: message.dryRun,
    rules: message.rules.map((rule, r) => ({
      clauses: rule.clauses.map((clause, c) => ({
        matches: clause.matches.map((match, m) => decodeMatch(`rules[${r}].clauses[${c}].matches[${m}]`, match)),
      })),
    })),
  };
}

export function encodeAuthorization(policy: Authorization): Uint8Array {
  const message = create(AuthorizationSchema, {
    name: policy.name,
    namespace: policy.namespace,
    scope: scopes.encode(policy.scope),
    action: actions.encode(policy.action),
    dryRun: policy.dryRun,
    rules: policy.rules.map((rule) => ({
      clauses: rule.clauses.map((clause) => ({ matches: clause.matches.map(encodeMatch) })),
    })),
  });
  return toBinary(AuthorizationSchema, message);
}

function decodeMatch(path: string, match: MatchMessage): Match {
  if (match.extensions.length > 0) {
    // A condition that is not understood must not be dropped: without it the match would hold more often.
    throw invalidField(`${path}.extensions`, `${match.extensions[0]?.name} is not supported`);
  }
  const strings = (field: string, list: readonly StringMatchMessage[]) =>
    list.map((item, i) => decodeString(`${path}.${field}[${i}]`, item));
  const cidrs = (field: string, list: readonly AddressMessage[]): Cidr[] =>
    list.map((item, i) => decodeCidr(`${path}.${field}[${i}]`, item.address, item.length));
  const ports = (field: string, list: readonly number[]) => list.map((port, i) => decodePort(`${path}.${field}[${i}]`, port));
  return {
    namespaces: strings("namespaces", match.namespaces),
    notNamespaces: strings("not_namespaces", match.notNamespaces),
    principals: strings("principals", match.principals),
    notPrincipals: strings("not_principals", match.notPrincipals),
    serviceAccounts: match.serviceAccounts.map(decodeServiceAccount),
    notServiceAccounts: match.notServiceAccounts.map(decodeServiceAccount),
    sourceIps: cidrs("source_ips", match.sourceIps),
    notSourceIps: cidrs("not_source_ips", match.notSourceIps),
    destinationIps: cidrs("destination_ips", match.destinationIps),
    notDestinationIps: cidrs("not_destination_ips", match.notDestinationIps),
    destinationPorts: ports("destination_ports", match.destinationPorts),
    notDestinationPorts: ports("not_destination_ports", match.notDestinationPorts),
  };
}

function decodeString(path: string, { matchType }: StringMatchMessage): StringMatch {
  switch (matchType.case) {
    case "exact":
    case "prefix":
    case "suffix":
      return { kind: matchType.case, value: matchType.value };
    case "presence":
      return { kind: "presence" };
    case undefined:
      throw invalidField(path, "has no kind of match");
  }
}

function decodeServiceAccount({ namespace, serviceAccount }: ServiceAccountMessage): ServiceAccountMatch {
  return { namespace, serviceAccount };
}

function encodeMatch(match: Match): MatchMessage {
  const cidrs = (list: readonly Cidr[]) => list.map(({ address, length }) => ({ address: ipToBytes(address), length }));
  return create(MatchSchema, {
    namespaces: match.namespaces.map(encodeString),
    notNamespaces: match.notNamespaces.map(encodeString),
    principals: match.principals.map(encodeString),
    notPrincipals: match.notPrincipals.map(encodeString),
    serviceAccounts: match.serviceAccounts.map((account) => ({ ...account })),
    notServiceAccounts: match.notServiceAccounts.map((account) => ({ ...account })),
    sourceIps: cidrs(match.sourceIps),
    notSourceIps: cidrs(match.notSourceIps),
    destinationIps: cidrs(match.destinationIps),
    notDestinationIps: cidrs(match.notDestinationIps),
    destinationPorts: [...match.destinationPorts],
    notDestinationPorts: [...match.notDestinationPorts],
  });
}

function encodeString(match: StringMatch): StringMatchMessage {
  return create(StringMatchSchema, {
    matchType: match.kind === "presence" ? { case: "presence", value: {} } : { case: match.kind, value: match.value },
  });
}
