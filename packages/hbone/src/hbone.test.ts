import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import net from "node:net";
import { test } from "node:test";
import { MeshError } from "@ambit/core";
import { hboneError } from "./errors.ts";
import {
  CLIENT,
  eventually,
  FarProxy,
  LOOPBACK,
  NearProxy,
  Reader,
  SERVER,
  startLoop,
  tcpClient,
  tcpEcho,
  tcpServer,
} from "./rig.testing.ts";

test("A tunnel carries bytes both ways, and each side learns who the other is and what it says of itself", async (t) => {
  const engine = startLoop(t);
  const far = new FarProxy(engine);
  const near = new NearProxy(engine, far);
  const port = await tcpEcho(t);
  const result = await near.open(`127.0.0.1:${port}`, { headers: [["forwarded", 'for="10.0.0.1:80"']] });
  assert.ok(result.kind === "open");
  assert.equal(result.peerIdentity, SERVER);
  assert.deepEqual(result.headers, [["baggage", "k8s.namespace.name=b"]]);
  const incoming = far.tunnels[0];
  assert.equal(incoming?.peerIdentity, CLIENT);
  assert.equal(incoming?.method, "CONNECT");
  assert.equal(incoming?.authority, `127.0.0.1:${port}`);
  assert.deepEqual(incoming?.headers, [["forwarded", 'for="10.0.0.1:80"']]);
  assert.equal(incoming?.local.port, far.address.port);
  assert.equal(far.sessions[0]?.peerIdentity, CLIENT);
  const reader = new Reader(result.tunnel);
  result.tunnel.write(Buffer.from("ping"));
  await eventually(() => reader.text === "ping");
  result.tunnel.end();
  await eventually(() => reader.ended && far.ends.length === 1);
  assert.deepEqual(far.ends, [{ kind: "finished" }]);
  assert.equal(reader.error, undefined);
});

test("64 MiB go through two relays and back unchanged", async (t) => {
  const engine = startLoop(t);
  const far = new FarProxy(engine);
  const near = new NearProxy(engine, far);
  const port = near.front(await tcpEcho(t));
  const block = randomBytes(1 << 20);
  const sent = createHash("sha256");
  const received = createHash("sha256");
  let bytes = 0;
  const socket = tcpClient(t, port);
  socket.on("data", (data) => {
    bytes += data.length;
    received.update(data);
  });
  const ended = new Promise((resolve) => socket.once("end", resolve));
  for (let i = 0; i < 64; i++) {
    block.writeUInt32LE(i, i);
    const copy = Buffer.from(block);
    sent.update(copy);
    if (!socket.write(copy)) await new Promise((resolve) => socket.once("drain", resolve));
  }
  socket.end();
  await ended;
  assert.equal(bytes, 64 << 20);
  assert.equal(received.digest("hex"), sent.digest("hex"));
  await eventually(() => near.ends.length === 1 && far.ends.length === 1);
  assert.deepEqual([...near.ends, ...far.ends], [{ kind: "finished" }, { kind: "finished" }]);
  assert.equal(near.relays[0]?.bytesToUpstream, 64 << 20);
  assert.equal(near.relays[0]?.bytesToDownstream, 64 << 20);
});

test("64 MiB pass through a handler that waits for onDrain, and one that pauses", async (t) => {
  const engine = startLoop(t);
  let got = 0;
  const hash = createHash("sha256");
  const far = new FarProxy(engine, {
    onTunnel: (incoming) => {
      const tunnel = incoming.accept([]);
      let chunks = 0;
      tunnel.handle({
        onData: (chunk) => {
          got += chunk.length;
          hash.update(chunk);
          if (++chunks % 16 !== 0) return;
          tunnel.pause();
          engine.after(1, () => tunnel.resume());
        },
        onEnd: () => tunnel.end(),
        onError: (error) => assert.fail(error),
      });
    },
  });
  const near = new NearProxy(engine, far);
  const tunnel = await near.tunnel("10.0.0.1:80");
  const block = randomBytes(300_000);
  const total = 64 << 20;
  const sent = createHash("sha256");
  let written = 0;
  let stalls = 0;
  let ended = false;
  const fill = (): void => {
    while (written < total) {
      written += block.length;
      sent.update(block);
      if (!tunnel.write(block)) {
        stalls++;
        return;
      }
    }
    tunnel.end();
  };
  tunnel.handle({
    onData: () => assert.fail("data"),
    onEnd: () => {
      ended = true;
    },
    onError: (error) => assert.fail(error),
    onDrain: fill,
  });
  fill();
  await eventually(() => ended, { timeoutMs: 30_000 });
  assert.equal(got, written);
  assert.equal(hash.digest("hex"), sent.digest("hex"));
  assert.ok(stalls > 0);
});

test("The application's end goes through and the server may answer long after it", async (t) => {
  const engine = startLoop(t);
  const far = new FarProxy(engine);
  const near = new NearProxy(engine, far);
  const port = near.front(
    await tcpServer(t, { allowHalfOpen: true }, (socket) => {
      let question = "";
      socket.on("data", (data) => {
        question += data;
      });
      socket.on("end", () => setTimeout(() => socket.end(`answer to ${question}`), 50));
    }),
  );
  const socket = tcpClient(t, port);
  let answer = "";
  socket.on("data", (data) => {
    answer += data;
  });
  socket.end("question");
  await new Promise((resolve) => socket.once("end", resolve));
  assert.equal(answer, "answer to question");
  await eventually(() => near.ends.length === 1 && far.ends.length === 1);
  assert.deepEqual([...near.ends, ...far.ends], [{ kind: "finished" }, { kind: "finished" }]);
});

test("The server's end goes through and the application may send long after it", async (t) => {
  const engine = startLoop(t);
  const far = new FarProxy(engine);
  const near = new NearProxy(engine, far);
  let received = "";
  let serverEnded = false;
  const port = near.front(
    await tcpServer(t, { allowHalfOpen: true }, (socket) => {
      socket.on("data", (data) => {
        received += data;
      });
      socket.on("end", () => {
        serverEnded = true;
      });
      socket.end("goodbye");
    }),
  );
  const socket = tcpClient(t, port);
  let greeting = "";
  socket.on("data", (data) => {
    greeting += data;
  });
  await new Promise((resolve) => socket.once("end", resolve));
  assert.equal(greeting, "goodbye");
  await new Promise((resolve) => setTimeout(resolve, 50));
  socket.end("after your end");
  await eventually(() => serverEnded);
  assert.equal(received, "after your end");
  await eventually(() => near.ends.length === 1 && far.ends.length === 1);
  assert.deepEqual([...near.ends, ...far.ends], [{ kind: "finished" }, { kind: "finished" }]);
});

test("A reset by the application reaches the server as a reset", async (t) => {
  const engine = startLoop(t);
  const far = new FarProxy(engine);
  const near = new NearProxy(engine, far);
  const events: string[] = [];
  const port = near.front(
    await tcpServer(t, {}, (socket) => {
      socket.on("data", (data) => events.push(`data ${data}`));
      socket.on("end", () => events.push("end"));
      socket.on("error", (error: NodeJS.ErrnoException) => events.push(`error ${error.code}`));
    }),
  );
  const socket = tcpClient(t, port);
  socket.write("half");
  await eventually(() => events.length === 1);
  socket.resetAndDestroy();
  await eventually(() => events.length === 2);
  assert.deepEqual(events, ["data half", "error ECONNRESET"]);
  await eventually(() => near.ends.length === 1 && far.ends.length === 1);
  assert.deepEqual(
    [...near.ends, ...far.ends].map((end) => end.kind === "failed" && [end.side, end.error.code]),
    [
      ["downstream", "ENGINE_RESET"],
      ["upstream", "ENGINE_TUNNEL_RESET"],
    ],
  );
});

test("A reset by the server reaches the application as a reset", async (t) => {
  const engine = startLoop(t);
  const far = new FarProxy(engine);
  const near = new NearProxy(engine, far);
  const port = near.front(
    await tcpServer(t, {}, (socket) => socket.write("half", () => setTimeout(() => socket.resetAndDestroy(), 20))),
  );
  const socket = tcpClient(t, port);
  const events: string[] = [];
  socket.on("data", (data) => events.push(`data ${data}`));
  socket.on("end", () => events.push("end"));
  socket.on("error", (error: NodeJS.ErrnoException) => events.push(`error ${error.code}`));
  await eventually(() => events.length === 2);
  assert.deepEqual(events, ["data half", "error ECONNRESET"]);
});

test("Relay.abort() on one proxy cuts both applications", async (t) => {
  const engine = startLoop(t);
  const far = new FarProxy(engine);
  const near = new NearProxy(engine, far);
  const events: string[] = [];
  const port = near.front(
    await tcpServer(t, {}, (socket) => {
      events.push("server open");
      socket.on("end", () => events.push("server end"));
      socket.on("error", (error: NodeJS.ErrnoException) => events.push(`server ${error.code}`));
    }),
  );
  const socket = tcpClient(t, port);
  socket.on("end", () => events.push("client end"));
  socket.on("error", (error: NodeJS.ErrnoException) => events.push(`client ${error.code}`));
  await eventually(() => events.length === 1 && near.relays.length === 1);
  near.relays[0]?.abort(new MeshError("POLICY_CHANGED", "No longer allowed"));
  await eventually(() => events.length === 3);
  assert.deepEqual(events.toSorted(), ["client ECONNRESET", "server ECONNRESET", "server open"]);
});

test("A peer that dies in the middle of a stream is a cut for the other, never an end", async (t) => {
  const engine = startLoop(t);
  const far = new FarProxy(engine);
  const near = new NearProxy(engine, far);
  const port = await tcpEcho(t);
  const tunnel = await near.tunnel(`127.0.0.1:${port}`);
  const reader = new Reader(tunnel);
  tunnel.write(Buffer.from("x"));
  await eventually(() => reader.text === "x");
  // Between the two: a relay that resets the connection of the session, as a kernel does for a process that was killed.
  far.sessions[0]?.close(hboneError("HBONE_SESSION_LOST", "killed"));
  await eventually(() => reader.error !== undefined);
  assert.equal(reader.ended, false);
  await eventually(() => near.pool.sessions === 0);
  await eventually(() => far.ends.length === 1);
  assert.equal(far.ends[0]?.kind, "failed");
});

test("A connection that is reset under the session cuts all its tunnels", async (t) => {
  const engine = startLoop(t);
  const far = new FarProxy(engine);
  const between: net.Socket[] = [];
  const wire = await tcpServer(t, {}, (socket) => {
    const onward = net.connect(far.address.port, "127.0.0.1");
    onward.on("error", () => undefined);
    between.push(socket, onward);
    socket.pipe(onward).pipe(socket);
  });
  const near = new NearProxy(engine, far);
  const port = await tcpEcho(t);
  const remote = { ip: LOOPBACK, port: wire };
  const readers: Reader[] = [];
  for (let i = 0; i < 5; i++) readers.push(new Reader(await near.tunnel(`127.0.0.1:${port}`, { remote })));
  for (const socket of between) socket.resetAndDestroy();
  await eventually(() => readers.every((reader) => reader.error !== undefined));
  assert.ok(readers.every((reader) => !reader.ended));
  await eventually(() => near.pool.sessions === 0 && far.closed === 1 && far.ends.length === 5);
  assert.ok(far.ends.every((end) => end.kind === "failed"));
});

test("A cut that comes between the answer and relay() is told to whoever takes the tunnel later", async (t) => {
  const engine = startLoop(t);
  const far = new FarProxy(engine);
  const near = new NearProxy(engine, far);
  const port = await tcpServer(t, {}, (socket) => setTimeout(() => socket.resetAndDestroy(), 20));
  const tunnel = await near.tunnel(`127.0.0.1:${port}`);
  await eventually(() => far.ends.length === 1);
  await new Promise((resolve) => setTimeout(resolve, 50));
  const reader = new Reader(tunnel);
  await eventually(() => reader.error !== undefined);
  assert.equal(reader.error?.code, "ENGINE_TUNNEL_RESET");
});

test("IncomingTunnel.accept() after the peer has given up gives a tunnel that fails", async (t) => {
  const engine = startLoop(t);
  let cancelled = false;
  const far = new FarProxy(engine, {
    onTunnel: (tunnel) =>
      tunnel.onCancelled(() => {
        cancelled = true;
      }),
  });
  const near = new NearProxy(engine, far);
  const request = near.pool.openTunnel(near.options("10.0.0.1:80"), () => assert.fail("done after cancel"));
  await eventually(() => far.tunnels.length === 1);
  request.cancel();
  await eventually(() => cancelled);
  const accepted = far.tunnels[0]?.accept([]);
  assert.ok(accepted !== undefined);
  const reader = new Reader(accepted);
  await eventually(() => reader.error !== undefined);
  assert.equal(reader.ended, false);
  assert.equal(near.pool.sessions, 1);
});

test("cancel() before the session is open leaves it to others", async (t) => {
  const engine = startLoop(t);
  const far = new FarProxy(engine);
  const near = new NearProxy(engine, far);
  const port = await tcpEcho(t);
  const first = near.pool.openTunnel(near.options(`127.0.0.1:${port}`), () => assert.fail("done after cancel"));
  const second = near.tunnel(`127.0.0.1:${port}`);
  first.cancel();
  await second;
  assert.equal(far.tunnels.length, 1);
  assert.equal(far.sessions.length, 1);
});
