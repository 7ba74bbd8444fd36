// The access log: one line per connection, fields in the order and form that the field's tools parse. @source ztunnel src/proxy/metrics.rs
import type { LogFields } from "@ambit/core";
import { BareText } from "@ambit/runtime";
import type { ConnectionLabels } from "../worker-messages.ts";

export interface LineFacts {
  readonly labels: ConnectionLabels;
  readonly source: string;
  readonly destination: string;
  readonly hboneTarget: string | undefined;
}

export interface LineEnd {
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly durationMs: number;
  readonly error: string | undefined;
}

/** Absent values are left out. */
export function openedFields({ labels, source, destination, hboneTarget }: LineFacts): LogFields {
  const { source: from, destination: to, service, direction } = labels;
  return {
    "src.addr": new BareText(source),
    "src.workload": from.workload,
    "src.namespace": from.namespace,
    "src.identity": from.identity,
    "src.cluster": from.cluster,
    "dst.addr": new BareText(destination),
    "dst.hbone_addr": hboneTarget === undefined ? undefined : new BareText(hboneTarget),
    "dst.service": service?.hostname,
    "dst.workload": to.workload,
    "dst.namespace": to.namespace,
    "dst.identity": to.identity,
    "dst.cluster": to.cluster,
    direction,
  };
}

/** Bytes from the reporter's own point of view. */
export function closedFields(facts: LineFacts, end: LineEnd): LogFields {
  const isOutbound = facts.labels.direction === "outbound";
  return {
    ...openedFields(facts),
    bytes_sent: isOutbound ? end.receivedBytes : end.sentBytes,
    bytes_recv: isOutbound ? end.sentBytes : end.receivedBytes,
    duration: `${Math.round(end.durationMs)}ms`,
    error: end.error,
  };
}
