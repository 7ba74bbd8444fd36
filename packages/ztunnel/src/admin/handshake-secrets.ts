// Secrets of handshakes, collected for a few seconds when somebody asks for evidence, and forgotten soon after (docs/adr/0008).
import { type Clock, type ClockTimer, MeshError } from "@ambit/core";
import type { httpServer } from "@ambit/runtime";
import type { ToWorker } from "../worker-messages.ts";

export interface HandshakeSecretsDeps {
  readonly broadcast: (message: ToWorker) => void;
  readonly workerCount: () => number;
  readonly clock: Clock;
}

/** What was collected can be fetched for so long after the end. */
const KEPT_MS = 60_000;
const MAX_SECONDS = 60;
const WORKERS_TIMEOUT_MS = 5_000;
/** Of 5000 handshakes, about 2 MB; the oldest go first. */
const MAX_LINES = 10_000;

export class HandshakeSecrets {
  readonly #deps: HandshakeSecretsDeps;
  #lines: string[] = [];
  #run = 0;
  #isCollecting = false;
  #timer: ClockTimer | undefined;
  #awaited = new Set<number>();
  #ready = Promise.withResolvers<void>();

  constructor(deps: HandshakeSecretsDeps) {
    this.#deps = deps;
  }

  /** NSS key log format, handshake secrets only. */
  get text(): string {
    return this.#lines.map((line) => `${line}\n`).join("");
  }

  /**
   * Collects for so long from now on, and begins anew when it collects already. Resolves when every worker does, and
   * has retired its pooled sessions: the next connection makes a new handshake.
   * @throws ZTUNNEL_WORKERS_SILENT
   */
  async collect(seconds: number): Promise<void> {
    const { broadcast, workerCount, clock } = this.#deps;
    this.#timer?.cancel();
    this.#lines = [];
    this.#isCollecting = true;
    const run = ++this.#run;
    this.#awaited = new Set(Array.from({ length: workerCount() }, (_, worker) => worker));
    const previous = this.#ready;
    this.#ready = Promise.withResolvers<void>();
    void this.#ready.promise.then(() => previous.resolve());
    this.#timer = clock.after(seconds * 1000, () => this.#end());
    broadcast({ kind: "handshakeSecrets", run });
    await this.#allReady();
  }

  /** A worker has begun with that run. */
  began(worker: number, run: number): void {
    if (run !== this.#run) return;
    this.#awaited.delete(worker);
    if (this.#awaited.size === 0) this.#ready.resolve();
  }

  add(line: string): void {
    if (!this.#isCollecting) return;
    if (this.#lines.length >= MAX_LINES) this.#lines.shift();
    this.#lines.push(line);
  }

  /** A worker that takes the place of another one has no sessions and collects nothing yet. */
  workerStarted(post: (message: ToWorker) => void): void {
    if (this.#isCollecting) post({ kind: "handshakeSecrets", run: this.#run });
  }

  close(): void {
    this.#timer?.cancel();
    this.#ready.resolve();
    this.#lines = [];
  }

  async #allReady(): Promise<void> {
    const late = Promise.withResolvers<never>();
    const timer = this.#deps.clock.after(WORKERS_TIMEOUT_MS, () => {
      const workers = [...this.#awaited].join(", ");
      late.reject(
        new MeshError(
          "ZTUNNEL_WORKERS_SILENT",
          `Data-plane threads ${workers} did not answer within ${WORKERS_TIMEOUT_MS} ms; try again`,
        ),
      );
    });
    try {
      await Promise.race([this.#ready.promise, late.promise]);
    } finally {
      timer.cancel();
    }
  }

  #end(): void {
    this.#isCollecting = false;
    this.#deps.broadcast({ kind: "handshakeSecrets", run: undefined });
    this.#timer = this.#deps.clock.after(KEPT_MS, () => {
      this.#lines = [];
    });
  }
}

/** On the admin server, which listens on localhost only. */
export function addHandshakeSecretRoutes(server: ReturnType<typeof httpServer>, secrets: HandshakeSecrets): void {
  server.get("/debug/handshake_secrets", async (_request, reply) => reply.type("text/plain").send(secrets.text));
  server.post<{ Querystring: { seconds?: string } }>("/debug/handshake_secrets", async (request, reply) => {
    const text = request.query.seconds ?? "";
    const seconds = /^\d{1,2}$/.test(text) ? Number(text) : 0;
    if (seconds < 1 || seconds > MAX_SECONDS) {
      return reply.code(400).send(`"${text}" is not a time; use ?seconds=N with N from 1 to ${MAX_SECONDS}\n`);
    }
    await secrets.collect(seconds);
    return reply.send(`collecting handshake secrets for ${seconds} s\n`);
  });
}
