import assert from "node:assert/strict";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import tls from "node:tls";
import { createTestAuthority, eventually } from "@ambit/testkit";
import type { Credentials } from "./contract.ts";
import type { EngineLoop } from "./engine.ts";
import { onHandshakeSecret } from "./handshake-secrets.ts";
import { startEngine } from "./loop.testing.ts";
import { openSecureChannel } from "./tls.ts";

const authority = createTestAuthority();

function issue(name: string) {
  return authority.issue({ uris: [`spiffe://cluster.local/ns/a/sa/${name}`] });
}

function startServer(t: TestContext, engine: EngineLoop, credentials: Credentials): number {
  const listener = engine.listenTcp({ netns: undefined, address: "any", port: 0 }, (connection) => {
    const handler = { onOpen() {}, onData() {}, onWritable() {}, onClosed() {} };
    openSecureChannel(engine, connection, { role: "server", credentials }, handler);
  });
  t.after(() => {
    listener.close();
    credentials.close();
  });
  return listener.local.port;
}

/** Node's client logs everything that there is: what we must give, and what we must not. */
async function handshake(port: number, ciphers: string): Promise<string[]> {
  const { certChain: cert, privateKey: key, roots: ca } = issue("client");
  const client = tls.connect({
    host: "127.0.0.1",
    port,
    cert,
    key,
    ca,
    ciphers,
    ALPNProtocols: ["h2"],
    checkServerIdentity: () => undefined,
  });
  const lines: string[] = [];
  client.on("keylog", (line: Buffer) => lines.push(line.toString().trim()));
  await once(client, "secureConnect");
  client.destroy();
  return lines;
}

test("onHandshakeSecret() gives both handshake secrets and no other, for contexts made before and after", async (t) => {
  const engine = startEngine(t);
  t.after(() => onHandshakeSecret(undefined));
  const before = startServer(t, engine, engine.credentials(issue("before")));
  const seen: string[] = [];
  onHandshakeSecret((line) => seen.push(line));
  const after = startServer(t, engine, engine.credentials(issue("after")));
  for (const port of [before, after]) {
    for (const ciphers of ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"]) {
      seen.length = 0;
      const all = await handshake(port, ciphers);
      assert.ok(all.length > 2, "Node logs the application's secrets too");
      const expected = all.filter((line) => line.includes("_HANDSHAKE_TRAFFIC_SECRET "));
      assert.equal(expected.length, 2);
      await eventually(() => seen.length >= 2);
      assert.deepEqual(seen.toSorted(), expected.toSorted());
    }
  }
});

test("onHandshakeSecret() gives nothing any more when it was ended", async (t) => {
  const engine = startEngine(t);
  const port = startServer(t, engine, engine.credentials(issue("server")));
  const seen: string[] = [];
  onHandshakeSecret((line) => seen.push(line));
  onHandshakeSecret(undefined);
  await handshake(port, "TLS_AES_256_GCM_SHA384");
  assert.deepEqual(seen, []);
});
