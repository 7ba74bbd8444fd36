// Hands out the handshake secrets of new TLS connections while somebody asks for them; those of application data never leave OpenSSL's memory.
import { copyFromC } from "@ambit/linux/syscalls";
import { keyLogCallback, openssl } from "./openssl.ts";

/** A line in NSS key log format: `CLIENT_HANDSHAKE_TRAFFIC_SECRET <random> <secret>`, or SERVER. */
export type HandshakeSecretSink = (line: string) => void;

const PREFIXES = ["CLIENT_HANDSHAKE_TRAFFIC_SECRET ", "SERVER_HANDSHAKE_TRAFFIC_SECRET "];
/** Every line of the format is longer than this, so that so much may be read before it is known which one it is. */
const PREFIX_BYTES = 32;
const RANDOM_AND_SPACE = 64 + 1;
const SHA256_SECRET = 64;
const SHA384_SECRET = 96;

const contexts = new Set<number>();
let sink: HandshakeSecretSink | undefined;
let callback: bigint | undefined;

/**
 * Calls `next` for every handshake of this thread that derives its secrets from now on; undefined ends it.
 * Without a sink OpenSSL has no callback, and a handshake costs what it always costs.
 */
export function onHandshakeSecret(next: HandshakeSecretSink | undefined): void {
  sink = next;
  for (const context of contexts) apply(context);
}

/** Every context that makes sessions is known here for as long as it does. */
export function addSecretSource(context: number): void {
  contexts.add(context);
  if (sink !== undefined) apply(context);
}

export function removeSecretSource(context: number): void {
  contexts.delete(context);
}

function apply(context: number): void {
  openssl.SSL_CTX_set_keylog_callback(context, sink === undefined ? 0n : callbackOfThread());
}

/** As long as the thread: a connection may outlive its context and call it. */
function callbackOfThread(): bigint {
  callback ??= keyLogCallback((line) => {
    if (sink !== undefined) hand(line, sink);
  });
  return callback;
}

function hand(line: number, to: HandshakeSecretSink): void {
  const prefix = text(line, PREFIX_BYTES);
  if (!PREFIXES.includes(prefix)) return;
  const shortest = PREFIX_BYTES + RANDOM_AND_SPACE + SHA256_SECRET;
  const isShortest = copyFromC(line + shortest, 1)[0] === 0;
  to(text(line, isShortest ? shortest : shortest - SHA256_SECRET + SHA384_SECRET));
}

function text(address: number, length: number): string {
  return Buffer.from(copyFromC(address, length)).toString("latin1");
}
