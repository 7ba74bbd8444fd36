// A worker for the pool's tests: echoes on a port, answers pings, throws when told to.
import type { CredentialsPem } from "./contract.ts";
import { LOOPBACK } from "./loop.testing.ts";
import { runWorker } from "./run-worker.ts";
import { openSecureChannel } from "./tls.ts";

type ToWorker = { kind: "ping"; n: number } | { kind: "throw" };
type ToMain = { kind: "pong"; n: number } | { kind: "accepted"; port: number };

interface Data {
  /** 0: do not listen; negative: fail. */
  readonly port: number;
  /** Echo over TLS. */
  readonly pem?: CredentialsPem;
}

runWorker<ToWorker, ToMain, Data>((engine, mailbox, data) => {
  if (data.port < 0) throw new Error("told to fail");
  mailbox.onMessage((message) => {
    if (message.kind === "throw") throw new Error("asked to throw");
    mailbox.post({ kind: "pong", n: message.n });
  });
  if (data.port === 0) return;
  const credentials = data.pem === undefined ? undefined : engine.credentials(data.pem);
  engine.listenTcp({ netns: undefined, address: LOOPBACK, port: data.port }, (connection) => {
    mailbox.post({ kind: "accepted", port: connection.remote.port });
    if (credentials !== undefined) {
      const channel = openSecureChannel(
        engine,
        connection,
        { role: "server", credentials },
        {
          onOpen: () => undefined,
          onData: (slab, offset, length) => channel.write(slab, offset, length),
          onWritable: () => undefined,
          onClosed: () => undefined,
        },
      );
      return;
    }
    connection.handle({
      onData: (chunk) => void connection.write(chunk),
      onEnd: () => connection.end(),
      onError: () => undefined,
    });
  });
});
