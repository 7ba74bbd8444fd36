// One outgoing HTTP call on a connection of its own: load spreads over endpoints, and each call shows what the mesh does to it.
import { request } from "node:http";

export interface CallResult {
  readonly status: number;
  readonly body: string;
}

export interface CallOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** For the whole call. */
  readonly timeoutMs: number;
}

/** Rejects with the system's error, or with one that says that the time is over. */
export function callHttp(url: string, options: CallOptions): Promise<CallResult> {
  const { method = "GET", headers = {}, body, timeoutMs } = options;
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers, agent: false, signal: AbortSignal.timeout(timeoutMs) }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
      incoming.on("error", reject);
      incoming.on("end", () => {
        // A connection cut in the middle of a body ends with "aborted" and not with an error on every path.
        if (!incoming.complete) reject(new Error("the answer was cut off"));
        else resolve({ status: incoming.statusCode ?? 0, body: Buffer.concat(chunks).toString("utf8") });
      });
    });
    outgoing.on("error", (error) => reject(error.name === "AbortError" ? new Error(`no answer within ${timeoutMs} ms`) : error));
    outgoing.end(body);
  });
}
