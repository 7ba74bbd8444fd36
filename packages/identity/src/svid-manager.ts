// Every identity of a node's workloads, with a certificate that is renewed before it ends.
import { asMeshError, Backoff, type Clock, type ClockTimer, type Logger, MeshError, type SpiffeId } from "@ambit/core";
import type { Svid } from "./svid.ts";

/** Why a certificate is wanted: renewal waits behind prefetch, prefetch behind a connection that waits. */
export type SvidPriority = "background" | "warmup" | "realtime";
const RANK: Readonly<Record<SvidPriority, number>> = { background: 0, warmup: 1, realtime: 2 };

export interface SvidManagerDeps {
  readonly fetch: (identity: SpiffeId, signal: AbortSignal) => Promise<Svid>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface SvidManagerOptions {
  /** Requests to the authority at the same time. */
  readonly concurrency?: number;
}

export type SvidChange =
  | { readonly kind: "available"; readonly svid: Svid }
  /** No usable certificate: the first fetch failed, or the last one expired. */
  | { readonly kind: "unavailable"; readonly identity: SpiffeId; readonly error: MeshError }
  | { readonly kind: "forgotten"; readonly identity: SpiffeId };

export interface SvidStatus {
  readonly identity: SpiffeId;
  readonly state: "Initializing" | "Available" | "Unavailable";
  readonly svid: Svid | undefined;
  readonly error: MeshError | undefined;
}

interface Waiter {
  resolve(svid: Svid): void;
  reject(error: MeshError): void;
}

/**
 * Of one identity. States: queued or fetching without a certificate (initializing) → available → renewing at half of the lifetime,
 * the old certificate serving → available again; or, when every renewal fails until the end, unavailable and still trying.
 */
interface Entry {
  readonly identity: SpiffeId;
  readonly backoff: Backoff;
  svid: Svid | undefined;
  error: MeshError | undefined;
  priority: SvidPriority;
  queued: boolean;
  fetching: AbortController | undefined;
  renewal: ClockTimer | undefined;
  expiry: ClockTimer | undefined;
  waiters: Waiter[];
}

const CONCURRENCY = 8;
const BACKOFF = { initialMs: 500, maxMs: 150_000, factor: 2, jitter: 0.2 } as const;

/** @source ztunnel src/identity/manager.rs */
export class SvidManager {
  readonly #deps: SvidManagerDeps;
  readonly #concurrency: number;
  readonly #entries = new Map<SpiffeId, Entry>();
  readonly #listeners = new Set<(change: SvidChange) => void>();
  #fetching = 0;

  constructor(deps: SvidManagerDeps, options: SvidManagerOptions = {}) {
    this.#deps = deps;
    this.#concurrency = options.concurrency ?? CONCURRENCY;
  }

  /** Told of every new certificate and of every loss, in order. Returns the way to unsubscribe. */
  onChange(listener: (change: SvidChange) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Makes sure that the identity has, or will have, a certificate. */
  prefetch(identity: SpiffeId, priority: SvidPriority = "warmup"): void {
    const entry = this.#entry(identity);
    if (this.#usable(entry) === undefined && entry.renewal === undefined) this.#enqueue(entry, priority);
    else if (entry.queued && RANK[priority] > RANK[entry.priority]) entry.priority = priority;
  }

  /**
   * The identity's certificate, now if there is one, else when the fetch under way ends.
   * @throws what the fetch failed with; the next call after a failure waits for the retry only if it is under way
   */
  svidFor(identity: SpiffeId): Promise<Svid> {
    const entry = this.#entry(identity);
    const usable = this.#usable(entry);
    if (usable !== undefined) return Promise.resolve(usable);
    if (entry.error !== undefined && entry.fetching === undefined && !entry.queued) return Promise.reject(entry.error);
    return new Promise((resolve, reject) => {
      entry.waiters.push({ resolve, reject });
      this.#enqueue(entry, "realtime");
    });
  }

  /** The certificate if there is one that has not expired. */
  current(identity: SpiffeId): Svid | undefined {
    const entry = this.#entries.get(identity);
    return entry === undefined ? undefined : this.#usable(entry);
  }

  /** The last workload of the identity has left: its certificate goes. */
  forget(identity: SpiffeId): void {
    const entry = this.#entries.get(identity);
    if (entry === undefined) return;
    this.#entries.delete(identity);
    this.#stop(entry);
    this.#settle(entry, new MeshError("IDENTITY_FORGOTTEN", `No workload of ${identity} is on this node any more`));
    this.#emit({ kind: "forgotten", identity });
  }

  /** Every identity with its state, for /config_dump. */
  status(): SvidStatus[] {
    return [...this.#entries.values()].map((entry) => {
      const svid = this.#usable(entry);
      const state = svid !== undefined ? "Available" : entry.error !== undefined ? "Unavailable" : "Initializing";
      return { identity: entry.identity, state, svid, error: entry.error };
    });
  }

  /** Renews every certificate now, whatever its age; the old ones serve meanwhile. */
  renewAll(): void {
    for (const entry of this.#entries.values()) {
      entry.renewal?.cancel();
      entry.renewal = undefined;
      this.#enqueue(entry, "background");
    }
  }

  close(): void {
    for (const entry of this.#entries.values()) {
      this.#stop(entry);
      this.#settle(entry, new MeshError("IDENTITY_FORGOTTEN", "The process is stopping"));
    }
    this.#entries.clear();
  }

  #entry(identity: SpiffeId): Entry {
    let entry = this.#entries.get(identity);
    if (entry === undefined) {
      entry = {
        identity,
        backoff: new Backoff(BACKOFF),
        svid: undefined,
        error: undefined,
        priority: "background",
        queued: false,
        fetching: undefined,
        renewal: undefined,
        expiry: undefined,
        waiters: [],
      };
      this.#entries.set(identity, entry);
    }
    return entry;
  }

  #usable({ svid }: Entry): Svid | undefined {
    return svid !== undefined && svid.notAfterMs > this.#deps.clock.nowMs() ? svid : undefined;
  }

  #enqueue(entry: Entry, priority: SvidPriority): void {
    if (RANK[priority] > RANK[entry.priority] || !entry.queued) entry.priority = priority;
    if (entry.fetching !== undefined) return;
    entry.queued = true;
    this.#pump();
  }

  #pump(): void {
    while (this.#fetching < this.#concurrency) {
      let next: Entry | undefined;
      for (const entry of this.#entries.values()) {
        if (entry.queued && (next === undefined || RANK[entry.priority] > RANK[next.priority])) next = entry;
      }
      if (next === undefined) return;
      void this.#fetch(next);
    }
  }

  async #fetch(entry: Entry): Promise<void> {
    const abort = new AbortController();
    entry.queued = false;
    entry.fetching = abort;
    entry.renewal?.cancel();
    entry.renewal = undefined;
    this.#fetching++;
    try {
      const svid = await this.#deps.fetch(entry.identity, abort.signal);
      if (!abort.signal.aborted) this.#accept(entry, svid);
    } catch (cause) {
      if (!abort.signal.aborted) this.#fail(entry, asMeshError(cause, "IDENTITY_CA_UNREACHABLE"));
    } finally {
      entry.fetching = undefined;
      this.#fetching--;
      this.#pump();
    }
  }

  #accept(entry: Entry, svid: Svid): void {
    const { clock, logger } = this.#deps;
    const nowMs = clock.nowMs();
    entry.svid = svid;
    entry.error = undefined;
    entry.backoff.reset();
    entry.expiry?.cancel();
    entry.expiry = clock.after(svid.notAfterMs - nowMs, () => this.#expire(entry));
    this.#renewAfter(entry, svid.notBeforeMs + (svid.notAfterMs - svid.notBeforeMs) / 2 - nowMs);
    logger.debug("certificate issued", { identity: entry.identity, notAfter: new Date(svid.notAfterMs).toISOString() });
    this.#emit({ kind: "available", svid });
    this.#settle(entry, svid);
  }

  #fail(entry: Entry, error: MeshError): void {
    const usable = this.#usable(entry);
    const delayMs = entry.backoff.next();
    const untilExpiryMs = usable === undefined ? Number.POSITIVE_INFINITY : usable.notAfterMs - this.#deps.clock.nowMs();
    this.#deps.logger.warn(usable === undefined ? "no certificate" : "certificate not renewed, the old one serves", {
      identity: entry.identity,
      error,
      retryInMs: delayMs,
    });
    this.#renewAfter(entry, Math.min(delayMs, untilExpiryMs));
    if (usable !== undefined) return;
    entry.error = error;
    this.#emit({ kind: "unavailable", identity: entry.identity, error });
    this.#settle(entry, error);
  }

  #renewAfter(entry: Entry, delayMs: number): void {
    entry.renewal = this.#deps.clock.after(delayMs, () => {
      entry.renewal = undefined;
      this.#enqueue(entry, "background");
    });
  }

  #expire(entry: Entry): void {
    // A clock whose timers are capped fires early; look again at the rest.
    const leftMs = (entry.svid?.notAfterMs ?? 0) - this.#deps.clock.nowMs();
    if (leftMs > 0) {
      entry.expiry = this.#deps.clock.after(leftMs, () => this.#expire(entry));
      return;
    }
    const error = new MeshError("IDENTITY_EXPIRED", `The certificate of ${entry.identity} has expired and could not be renewed`);
    entry.error = error;
    this.#deps.logger.error("certificate expired", { identity: entry.identity });
    this.#emit({ kind: "unavailable", identity: entry.identity, error });
  }

  #settle(entry: Entry, outcome: Svid | MeshError): void {
    const waiters = entry.waiters;
    entry.waiters = [];
    for (const waiter of waiters) {
      if (outcome instanceof MeshError) waiter.reject(outcome);
      else waiter.resolve(outcome);
    }
  }

  #stop(entry: Entry): void {
    entry.queued = false;
    entry.fetching?.abort();
    entry.renewal?.cancel();
    entry.expiry?.cancel();
  }

  #emit(change: SvidChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}
