import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import net from "node:net";
import { type TestContext, test } from "node:test";
import type { IpAddress, MeshError } from "@ambit/core";
import { openNetns } from "@ambit/linux";
import { eventually } from "@ambit/testkit";
import type { ByteStream, TcpConnection } from "./contract.ts";
import { dial, dialResult, LOOPBACK, startEngine } from "./loop.testing.ts";

/** Everything that a stream reported. */
function observe(stream: ByteStream): { text: string; ended: boolean; error: MeshError | undefined; drains: number } {
  const seen = { text: "", ended: false, error: undefined as MeshError | undefined, drains: 0 };
  stream.handle({
    onData: (chunk) => {
      seen.text += Buffer.from(chunk).toString("latin1");
    },
    onEnd: () => {
      seen.ended = true;
    },
    onError: (error) => {
      seen.error = error;
    },
    onDrain: () => {
      seen.drains++;
    },
  });
  return seen;
}

async function connectedPair(t: TestContext) {
  const engine = startEngine(t);
  const accepted: TcpConnection[] = [];
  const listener = engine.listenTcp({ netns: undefined, address: "any", port: 0 }, (connection) => accepted.push(connection));
  const near = await dial(engine, listener.local.port);
  const far = await eventually(() => accepted[0] ?? false);
  return { engine, listener, near, far };
}

test("listenTcp() and dialTcp() give connections with both addresses, IPv4 folded", async (t) => {
  const { near, far, listener } = await connectedPair(t);
  assert.deepEqual(near.remote, { ip: LOOPBACK, port: listener.local.port });
  assert.deepEqual(far.remote, near.local);
  assert.deepEqual(far.local, near.remote);
  assert.deepEqual(far.originalDestination(), far.local);
});

test("TcpConnection carries half-close both ways", async (t) => {
  const { near, far, engine } = await connectedPair(t);
  const [a, b] = [observe(near), observe(far)];
  near.write(Buffer.from("request"));
  near.end();
  await eventually(() => b.ended);
  assert.equal(b.text, "request");
  assert.equal(a.ended, false);
  far.write(Buffer.from("response"));
  far.end();
  await eventually(() => a.ended);
  assert.equal(a.text, "response");
  await eventually(() => engine.stats.openSockets === 1);
});

test("TcpConnection.reset() is an error at the other end, and idempotent", async (t) => {
  const { near, far } = await connectedPair(t);
  const [a, b] = [observe(near), observe(far)];
  near.reset();
  near.reset();
  await eventually(() => b.error !== undefined);
  assert.equal(b.error?.code, "ENGINE_RESET");
  assert.equal(b.error?.message, "Connection reset by peer (os error 104)");
  assert.equal(b.ended, false);
  assert.equal(a.error, undefined);
});

test("TcpConnection.write() asks to wait while the peer does not read, and reports the drain", async (t) => {
  const { near, far } = await connectedPair(t);
  const a = observe(near);
  const block = Buffer.alloc(1 << 20, "z");
  let sent = 0;
  while (near.write(block)) sent += block.length;
  sent += block.length;
  let received = 0;
  far.handle({
    onData: (chunk) => {
      received += chunk.length;
    },
    onEnd: () => undefined,
    onError: (error) => assert.fail(error),
  });
  await eventually(() => received === sent && a.drains === 1);
});

test("TcpConnection.pause() stops reading until resume()", async (t) => {
  const { near, far } = await connectedPair(t);
  const b = observe(far);
  far.pause();
  near.write(Buffer.from("later"));
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(b.text, "");
  far.resume();
  await eventually(() => b.text === "later");
});

test("Listener.close() refuses new connections and leaves accepted ones", async (t) => {
  const { engine, listener, near, far } = await connectedPair(t);
  const b = observe(far);
  listener.close();
  const result = await eventually(async () => {
    const next = await dialResult(engine, listener.local.port);
    return next.kind === "failed" && next;
  });
  assert.equal(result.error.code, "ENGINE_CONNECT_REFUSED");
  assert.equal(result.error.message, "Connection refused (os error 111)");
  assert.equal(result.error.details["errno"], "ECONNREFUSED");
  near.write(Buffer.from("still here"));
  await eventually(() => b.text === "still here");
});

test("listenTcp() says which address is taken", async (t) => {
  const engine = startEngine(t);
  const other = net.createServer().listen(0, "127.0.0.1");
  t.after(() => other.close());
  await new Promise((resolve) => other.once("listening", resolve));
  const { port } = other.address() as net.AddressInfo;
  assert.throws(
    () => engine.listenTcp({ netns: undefined, address: LOOPBACK, port }, () => undefined),
    (error: MeshError) => {
      assert.equal(error.code, "ENGINE_LISTEN_FAILED");
      assert.equal(error.details["errno"], "EADDRINUSE");
      assert.match(error.message, new RegExp(`${LOOPBACK} port ${port}: bind: Address already in use`));
      return true;
    },
  );
});

test("dialTcp() times out towards a host that does not answer, and reports a cancelled dial once", async (t) => {
  const name = namespace(t);
  const engine = startEngine(t);
  const netns = openNetns(`/run/netns/${name}`);
  t.after(() => netns.close());
  execFileSync("ip", ["-n", name, "link", "add", "eng0", "type", "veth", "peer", "name", "eng1"]);
  execFileSync("ip", ["-n", name, "link", "set", "eng0", "up"]);
  execFileSync("ip", ["-n", name, "link", "set", "eng1", "up"]);
  execFileSync("ip", ["-n", name, "addr", "add", "10.99.0.1/24", "dev", "eng0"]);
  execFileSync("ip", ["-n", name, "neigh", "add", "10.99.0.2", "lladdr", "02:00:00:00:00:02", "dev", "eng0"]);
  const remote = { ip: "10.99.0.2" as IpAddress, port: 80 };
  const timedOut = await new Promise<string>((resolve) => {
    engine.dialTcp({ netns, remote, timeoutMs: 40 }, (result) =>
      resolve(result.kind === "failed" ? result.error.code : "connected"),
    );
  });
  assert.equal(timedOut, "ENGINE_CONNECT_TIMED_OUT");
  const codes: string[] = [];
  const dialling = engine.dialTcp({ netns, remote, timeoutMs: 5_000 }, (result) =>
    codes.push(result.kind === "failed" ? result.error.code : ""),
  );
  dialling.cancel();
  dialling.cancel();
  await eventually(() => codes.length > 0);
  assert.deepEqual(codes, ["ENGINE_CONNECT_CANCELLED"]);
  const unreachable = await new Promise<string>((resolve) => {
    const nowhere = { ip: "192.0.2.1" as IpAddress, port: 80 };
    engine.dialTcp({ netns, remote: nowhere, timeoutMs: 500 }, (result) =>
      resolve(result.kind === "failed" ? result.error.code : ""),
    );
  });
  assert.equal(unreachable, "ENGINE_CONNECT_UNREACHABLE");
});

test("listenTcp() listens inside another namespace and gives the destination before redirection", async (t) => {
  const name = namespace(t);
  const engine = startEngine(t);
  const netns = openNetns(`/run/netns/${name}`);
  t.after(() => netns.close());
  const accepted: TcpConnection[] = [];
  const listener = engine.listenTcp({ netns, address: "any", port: 15001, mark: 1337, transparent: true }, (connection) =>
    accepted.push(connection),
  );
  const inside = (...args: string[]) => execFileSync("nsenter", [`--net=/run/netns/${name}`, ...args]);
  inside("iptables", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "--dport", "80", "-j", "REDIRECT", "--to-ports", "15001");
  execFileSync("ip", ["-n", name, "addr", "add", "10.99.1.1/32", "dev", "lo"]);
  assert.equal((await dialResult(engine, listener.local.port)).kind, "failed");
  const dialled = { ip: "10.99.1.1" as IpAddress, port: 80 };
  const result = await new Promise<{ kind: string }>((resolve) =>
    engine.dialTcp({ netns, remote: dialled, timeoutMs: 2_000 }, resolve),
  );
  assert.equal(result.kind, "connected");
  const connection = await eventually(() => accepted[0] ?? false);
  assert.deepEqual(connection.originalDestination(), dialled);
});

test("dialTcp() can use a foreign source address", async (t) => {
  const engine = startEngine(t);
  const accepted: TcpConnection[] = [];
  const { local } = engine.listenTcp({ netns: undefined, address: LOOPBACK, port: 0 }, (connection) => accepted.push(connection));
  const source = "127.77.0.5" as IpAddress;
  engine.dialTcp({ netns: undefined, remote: local, timeoutMs: 1_000, transparentSource: source }, () => undefined);
  assert.equal((await eventually(() => accepted[0] ?? false)).remote.ip, source);
});

test("Engine.bindUdp() answers datagrams on both families", async (t) => {
  const engine = startEngine(t);
  const server = engine.bindUdp({ netns: undefined, address: "any", port: 0 }, (data, from) =>
    server.send(Buffer.from(`echo ${Buffer.from(data)}`), from),
  );
  for (const ip of ["127.0.0.1", "::1"] as IpAddress[]) {
    const answers: string[] = [];
    const client = engine.bindUdp({ netns: undefined, address: ip, port: 0 }, (data, from) =>
      answers.push(`${Buffer.from(data)} ${from.port}`),
    );
    client.send(Buffer.from("hello"), { ip, port: server.local.port });
    await eventually(() => answers[0] === `echo hello ${server.local.port}`);
    client.close();
  }
  server.close();
});

function namespace(t: TestContext): string {
  const name = `eng-t${process.pid}-${Math.floor(performance.now())}`;
  execFileSync("ip", ["netns", "add", name]);
  execFileSync("ip", ["-n", name, "link", "set", "lo", "up"]);
  t.after(() => execFileSync("ip", ["netns", "del", name]));
  return name;
}
