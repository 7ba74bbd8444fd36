// One connection from the moment it was decided until its end: exactly one report of each.
import {
  formatSocketAddress,
  identityOf,
  type PodUid,
  type ResponseFlag,
  type Service,
  type SocketAddress,
  type SpiffeId,
  type Workload,
} from "@ambit/core";
import type { ConnectionLabels, Direction, Party, ToMain } from "../worker-messages.ts";

export interface RecordFacts {
  readonly direction: Direction;
  readonly pod: PodUid;
  readonly source: Party;
  readonly destination: Party;
  readonly service: Service | undefined;
  readonly isMutualTls: boolean;
  readonly sourceAddress: SocketAddress;
  readonly destinationAddress: SocketAddress;
  readonly dialledAddress?: SocketAddress;
  readonly hboneTarget?: string | undefined;
  readonly traceId?: string | undefined;
}

/** How a connection ended, in the words of metrics and access line. */
export interface RecordEnd {
  readonly flag: ResponseFlag;
  readonly error: string | undefined;
  /** Client to server. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

/** States: open → closed; the second `close` does nothing. */
export interface ConnectionRecord {
  readonly id: number;
  close(end: RecordEnd): void;
}

/** Distinct sets of labels that are remembered on both sides; past it the numbers are given anew. */
const MAX_LABEL_SETS = 20_000;

/** Makes the records of one worker. */
export class ConnectionRecords {
  readonly #post: (message: ToMain) => void;
  readonly #nowMs: () => number;
  #nextId = 1;
  #numbers = new Map<string, number>();
  #nextNumber = 0;

  constructor(post: (message: ToMain) => void, nowMs: () => number) {
    this.#post = post;
    this.#nowMs = nowMs;
  }

  open(facts: RecordFacts): ConnectionRecord {
    const id = this.#nextId++;
    const startedMs = this.#nowMs();
    this.#post({
      kind: "opened",
      id,
      labels: this.#numberOf(facts),
      pod: facts.pod,
      source: formatSocketAddress(facts.sourceAddress),
      destination: formatSocketAddress(facts.destinationAddress),
      dialled: facts.dialledAddress === undefined ? undefined : formatSocketAddress(facts.dialledAddress),
      hboneTarget: facts.hboneTarget,
      traceId: facts.traceId,
      startedMs,
    });
    let isOpen = true;
    return {
      id,
      close: (end) => {
        if (!isOpen) return;
        isOpen = false;
        this.#post({ kind: "closed", id, durationMs: Math.max(0, this.#nowMs() - startedMs), ...end });
      },
    };
  }

  /** Turned away before it was known what it would have been. */
  failed(direction: Direction, source: SocketAddress, destination: SocketAddress, error: string): void {
    this.#post({
      kind: "failed",
      direction,
      source: formatSocketAddress(source),
      destination: formatSocketAddress(destination),
      error,
    });
  }

  #numberOf(facts: RecordFacts): number {
    const key = keyOf(facts);
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    if (this.#numbers.size >= MAX_LABEL_SETS) {
      this.#numbers.clear();
      this.#nextNumber = 0;
    }
    const number = this.#nextNumber++;
    this.#numbers.set(key, number);
    this.#post({ kind: "labels", number, labels: labelsOf(facts) });
    return number;
  }
}

export function labelsOf({ direction, source, destination, service, isMutualTls }: RecordFacts): ConnectionLabels {
  const labels =
    service === undefined ? undefined : { hostname: service.hostname, name: service.name, namespace: service.namespace };
  return { direction, source, destination, service: labels, isMutualTls };
}

function keyOf({ direction, source, destination, service, isMutualTls }: RecordFacts): string {
  const named = service === undefined ? "" : `${service.namespace}/${service.hostname}/${service.name}`;
  return `${direction}|${isMutualTls}|${named}|${partyKey(source)}|${partyKey(destination)}`;
}

function partyKey(party: Party): string {
  const { workload, workloadName, namespace, canonicalName, canonicalRevision, cluster, region, zone, principal, identity } =
    party;
  return `${workload},${workloadName},${namespace},${canonicalName},${canonicalRevision},${cluster},${region},${zone},${principal},${identity}`;
}

const parties = new WeakMap<Workload, Map<string, Party>>();

/**
 * A workload as metrics and access lines name it.
 * @param principal for metrics; `identity` for the access line, only when mutual TLS proved it
 */
export function partyOf(workload: Workload | undefined, principal: SpiffeId | undefined, identity: SpiffeId | undefined): Party {
  if (workload === undefined) return { principal, identity };
  let known = parties.get(workload);
  if (known === undefined) {
    known = new Map();
    parties.set(workload, known);
  }
  const key = `${principal}|${identity}`;
  let party = known.get(key);
  if (party === undefined) {
    party = makeParty(workload, principal, identity);
    known.set(key, party);
  }
  return party;
}

function makeParty(workload: Workload, principal: SpiffeId | undefined, identity: SpiffeId | undefined): Party {
  return {
    workload: given(workload.name),
    workloadName: given(workload.workloadName),
    namespace: given(workload.namespace),
    canonicalName: given(workload.canonicalName),
    canonicalRevision: given(workload.canonicalRevision),
    cluster: given(workload.clusterId),
    region: given(workload.locality.region),
    zone: given(workload.locality.zone),
    principal,
    identity,
  };
}

/** The destination's principal is known from discovery even without mutual TLS; the access line shows only proven ones. */
export function destinationParty(workload: Workload | undefined, proven: SpiffeId | undefined): Party {
  return partyOf(workload, workload === undefined ? proven : identityOf(workload), proven);
}

function given(text: string): string | undefined {
  return text === "" ? undefined : text;
}
