// Handshake secrets in NSS key log format; the secrets of application data are neither needed nor kept.

export interface HandshakeSecrets {
  readonly client: Uint8Array | undefined;
  readonly server: Uint8Array | undefined;
}

/** By the ClientHello's random, lower-case hexadecimal. */
export type SecretsByRandom = ReadonlyMap<string, HandshakeSecrets>;

const LINE = /^(CLIENT|SERVER)_HANDSHAKE_TRAFFIC_SECRET ([0-9a-fA-F]{64}) ([0-9a-fA-F]{64}|[0-9a-fA-F]{96})$/;

/** Other lines are passed over: the format allows comments and knows more labels. @see draft-ietf-tls-keylogfile */
export function parseKeyLog(text: string): SecretsByRandom {
  const found = new Map<string, { client: Uint8Array | undefined; server: Uint8Array | undefined }>();
  for (const line of text.split("\n")) {
    const [, side, random, secret] = LINE.exec(line.trim()) ?? [];
    if (side === undefined || random === undefined || secret === undefined) continue;
    const key = random.toLowerCase();
    const secrets = found.get(key) ?? { client: undefined, server: undefined };
    found.set(key, secrets);
    secrets[side === "CLIENT" ? "client" : "server"] = Buffer.from(secret, "hex");
  }
  return found;
}
