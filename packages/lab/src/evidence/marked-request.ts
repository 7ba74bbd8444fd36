// A program that runs inside a pod: one request to a URL, then one line of JSON on how it went. `tcp://` sends the URL's query as it is.
import { once } from "node:events";
import { get } from "node:http";
import { connect, type Socket } from "node:net";
import type { RequestOutcome } from "./request-outcome.ts";

const TIMEOUT_MS = 8_000;

type Ends = Pick<RequestOutcome, "remoteIp" | "remotePort" | "localPort">;

function endsOf({ remoteAddress = "", remotePort = 0, localPort = 0 }: Socket): Ends {
  return { remoteIp: remoteAddress, remotePort, localPort };
}

async function overHttp(url: URL): Promise<RequestOutcome> {
  let ends: Ends = { remoteIp: "", remotePort: 0, localPort: 0 };
  const request = get(url, { agent: false, signal: AbortSignal.timeout(TIMEOUT_MS) });
  request.on("socket", (socket) =>
    socket.on("connect", () => {
      ends = endsOf(socket);
    }),
  );
  try {
    const [response] = await once(request, "response");
    response.resume();
    await once(response, "end");
    return { ...ends, isAnswered: true, answer: `HTTP ${response.statusCode}` };
  } catch (error) {
    return { ...ends, isAnswered: false, answer: reasonOf(error) };
  }
}

/** Answered means accepted and not cut off: not every protocol says something to a stranger. */
async function overTcp(url: URL): Promise<RequestOutcome> {
  const socket = connect(Number(url.port), url.hostname.replace(/^\[|\]$/g, ""));
  let ends: Ends = { remoteIp: "", remotePort: 0, localPort: 0 };
  let received = 0;
  socket.on("data", (bytes: Buffer) => {
    received += bytes.length;
  });
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    await once(socket, "connect", { signal });
    ends = endsOf(socket);
    socket.end(`${url.search.slice(1)}\n`);
    await once(socket, "close", { signal });
    return { ...ends, isAnswered: true, answer: `${received} bytes` };
  } catch (error) {
    return { ...ends, isAnswered: false, answer: reasonOf(error) };
  } finally {
    socket.destroy();
  }
}

function reasonOf(error: unknown): string {
  const { message, code, name } = error as NodeJS.ErrnoException;
  if (name === "AbortError") return `no answer within ${TIMEOUT_MS / 1000} s`;
  return message || code || name;
}

const url = new URL(process.argv[2] ?? "");
const outcome = url.protocol === "tcp:" ? await overTcp(url) : await overHttp(url);
process.stdout.write(`${JSON.stringify(outcome)}\n`);
