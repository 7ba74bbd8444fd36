// A worker for the pool's tests: echoes on a port, answers pings, throws when told to.
import { LOOPBACK } from "./loop.testing.ts";
import { runWorker } from "./run-worker.ts";

type ToWorker = { kind: "ping"; n: number } | { kind: "throw" };
type ToMain = { kind: "pong"; n: number } | { kind: "accepted"; port: number };

runWorker<ToWorker, ToMain, { port: number }>((engine, mailbox, data) => {
  if (data.port < 0) throw new Error("told to fail");
  mailbox.onMessage((message) => {
    if (message.kind === "throw") throw new Error("asked to throw");
    mailbox.post({ kind: "pong", n: message.n });
  });
  if (data.port === 0) return;
  engine.listenTcp({ netns: undefined, address: LOOPBACK, port: data.port }, (connection) => {
    mailbox.post({ kind: "accepted", port: connection.remote.port });
    connection.handle({
      onData: (chunk) => void connection.write(chunk),
      onEnd: () => connection.end(),
      onError: () => undefined,
    });
  });
});
