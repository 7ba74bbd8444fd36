// Real TLS sessions between Node's client and server, with the bytes that passed between them and the secrets they logged.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { connect as connectTls, createServer as createTlsServer, type SecureVersion } from "node:tls";
import { createTestAuthority } from "@ambit/testkit";

export const CLIENT_ID = "spiffe://cluster.local/ns/shop/sa/cart";
export const SERVER_ID = "spiffe://cluster.local/ns/shop/sa/payments";

export interface TlsConversation {
  readonly up: Buffer;
  readonly down: Buffer;
  readonly keyLog: string;
}

export interface TlsConversationOptions {
  readonly request: string;
  readonly ciphers?: string;
  readonly version?: SecureVersion;
  readonly clientUris?: readonly string[];
  readonly withoutClientCertificate?: boolean;
  /** Of the client's first try and of the server: no common one at first makes the server ask again. */
  readonly clientGroups?: string;
  readonly serverGroups?: string;
}

/** The server answers a request with the same bytes. */
export async function tlsConversation(options: TlsConversationOptions): Promise<TlsConversation> {
  const authority = createTestAuthority();
  const clientPem = authority.issue({ uris: options.clientUris ?? [CLIENT_ID] });
  const serverPem = authority.issue({ uris: [SERVER_ID] });
  const version = options.version ?? "TLSv1.3";
  const common = {
    ca: authority.rootPem,
    minVersion: version,
    maxVersion: version,
    ...(options.ciphers === undefined ? {} : { ciphers: options.ciphers }),
  };
  const server = createTlsServer({
    ...common,
    cert: serverPem.certChain,
    key: serverPem.privateKey,
    requestCert: true,
    rejectUnauthorized: options.withoutClientCertificate !== true,
    ALPNProtocols: ["h2"],
    ...(options.serverGroups === undefined ? {} : { ecdhCurve: options.serverGroups }),
  });
  server.on("secureConnection", (socket) => socket.pipe(socket));
  const port = await listening(server);
  const taps: { up: Buffer[]; down: Buffer[] } = { up: [], down: [] };
  const tap = createServer((near) => joinTapped(near, connect(port, "127.0.0.1"), taps));
  const tapPort = await listening(tap);
  const keyLog: Buffer[] = [];
  const client = connectTls({
    ...common,
    host: "127.0.0.1",
    port: tapPort,
    servername: "payments.shop",
    checkServerIdentity: () => undefined,
    ALPNProtocols: ["h2"],
    ...(options.clientGroups === undefined ? {} : { ecdhCurve: options.clientGroups }),
    ...(options.withoutClientCertificate === true ? {} : { cert: clientPem.certChain, key: clientPem.privateKey }),
  });
  client.on("keylog", (line: Buffer) => keyLog.push(line));
  client.write(options.request);
  let answered = 0;
  for await (const chunk of client as AsyncIterable<Buffer>) {
    answered += chunk.length;
    if (answered >= options.request.length) break;
  }
  client.destroy();
  for (const each of [server, tap]) each.close();
  await Promise.all([once(server, "close"), once(tap, "close")]);
  return { up: Buffer.concat(taps.up), down: Buffer.concat(taps.down), keyLog: Buffer.concat(keyLog).toString() };
}

function joinTapped(near: Socket, far: Socket, taps: { up: Buffer[]; down: Buffer[] }): void {
  near.on("data", (bytes: Buffer) => taps.up.push(bytes));
  far.on("data", (bytes: Buffer) => taps.down.push(bytes));
  near.pipe(far);
  far.pipe(near);
  for (const [one, other] of [
    [near, far],
    [far, near],
  ] as const) {
    // The client breaks off when it has its answer: a reset here is the end of the test, not a failure.
    one.on("error", () => other.destroy());
    one.on("close", () => other.destroy());
  }
}

async function listening(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}
