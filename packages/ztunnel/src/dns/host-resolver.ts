// Addresses of workloads that have only a hostname, asked for when a connection needs them and remembered for their time to live.
import { randomInt } from "node:crypto";
import { type IpAddress, ipFromBytes } from "@ambit/core";
import type { Engine } from "@ambit/engine";
import { Forwarder } from "./forwarder.ts";
import { encodeQuery, parseAnswer, RCODE, TYPE } from "./message.ts";

/** @source ztunnel src/state.rs: 4096 entries */
const MAX_NAMES = 4096;
const MAX_TTL_SECONDS = 300;
/** A name without answer is not asked for again before this. */
const FAILURE_TTL_MS = 1_000;

interface Known {
  readonly addresses: readonly IpAddress[];
  readonly untilMs: number;
}

export class HostResolver {
  readonly #engine: Engine;
  readonly #forwarder: Forwarder;
  readonly #known = new Map<string, Known>();
  readonly #waiting = new Map<string, ((addresses: readonly IpAddress[]) => void)[]>();

  constructor(engine: Engine, nameservers: readonly IpAddress[], mark: number) {
    this.#engine = engine;
    // From the proxy's own namespace: the name belongs to the mesh's configuration and not to a pod.
    this.#forwarder = new Forwarder(engine, { nameservers, netns: undefined, mark });
  }

  /** `done` gets every address of these families; none when the name does not exist or nobody answered. */
  resolve(hostname: string, families: readonly (4 | 6)[], done: (addresses: readonly IpAddress[]) => void): void {
    const found: IpAddress[] = [];
    let left = families.length;
    if (left === 0) this.#engine.defer(() => done([]));
    for (const family of families) {
      this.#resolveFamily(hostname, family, (addresses) => {
        found.push(...addresses);
        left--;
        if (left === 0) done(found);
      });
    }
  }

  /** Questions that are being asked. */
  get waiting(): number {
    return this.#waiting.size;
  }

  close(): void {
    this.#forwarder.close();
  }

  #resolveFamily(hostname: string, family: 4 | 6, done: (addresses: readonly IpAddress[]) => void): void {
    const key = `${family} ${hostname}`;
    const known = this.#known.get(key);
    if (known !== undefined && known.untilMs > this.#engine.nowMs()) {
      done(known.addresses);
      return;
    }
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined) {
      waiting.push(done);
      return;
    }
    this.#waiting.set(key, [done]);
    const query = encodeQuery(randomInt(0x10000), hostname, family === 4 ? TYPE.A : TYPE.AAAA);
    this.#forwarder.ask(query, "udp", (answer) => {
      const parsed = answer === undefined ? undefined : parseAnswer(answer);
      // An answer that did not fit is asked for again over TCP.
      if (parsed?.isTruncated === true) this.#forwarder.ask(query, "tcp", (whole) => this.#learn(key, whole));
      else this.#learn(key, answer);
    });
  }

  #learn(key: string, answer: Uint8Array | undefined): void {
    const parsed = answer === undefined ? undefined : parseAnswer(answer);
    const records = parsed?.rcode === RCODE.noError ? parsed.addresses : [];
    const addresses = records.map(({ bytes }) => ipFromBytes(bytes)).filter((ip) => ip !== undefined);
    const ttlSeconds = Math.min(MAX_TTL_SECONDS, ...records.map((record) => record.ttlSeconds));
    const forMs = addresses.length === 0 ? FAILURE_TTL_MS : Math.max(1, ttlSeconds) * 1_000;
    if (this.#known.size >= MAX_NAMES) {
      const oldest = this.#known.keys().next();
      if (oldest.done !== true) this.#known.delete(oldest.value);
    }
    this.#known.delete(key);
    this.#known.set(key, { addresses, untilMs: this.#engine.nowMs() + forMs });
    const waiting = this.#waiting.get(key) ?? [];
    this.#waiting.delete(key);
    for (const done of waiting) done(addresses);
  }
}
