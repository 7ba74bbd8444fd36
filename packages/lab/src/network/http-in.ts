// One HTTP request from inside a namespace.
import { request } from "node:http";
import { text } from "node:stream/consumers";
import { type DialTarget, dial } from "./dial.ts";

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  readonly contentType: string;
}

export async function httpIn(
  target: DialTarget,
  path: string,
  { timeoutMs, userAgent, method = "GET" }: { readonly timeoutMs: number; readonly userAgent: string; readonly method?: string },
): Promise<HttpAnswer> {
  const signal = AbortSignal.timeout(timeoutMs);
  const { ip, port } = target;
  const socket = await dial(target, timeoutMs);
  const host = ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
  return new Promise((resolve, reject) => {
    const sent = request({
      createConnection: () => socket,
      method,
      path,
      headers: { host, "user-agent": userAgent, connection: "close" },
      signal,
    });
    sent.on("error", reject);
    sent.on("response", (response) => {
      const { statusCode: status = 0, headers } = response;
      text(response).then((body) => resolve({ status, body, contentType: headers["content-type"] ?? "text/plain" }), reject);
    });
    sent.end();
  });
}
