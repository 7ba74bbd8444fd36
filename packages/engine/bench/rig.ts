// Two ends of one connection on one engine, for benchmarks.
import type { IpAddress } from "@ambit/core";
import { createTestAuthority } from "@ambit/testkit";
import { createEngine, type EngineLoop, type TcpConnection } from "../src/index.ts";
import { openSecureChannel, type SecureChannel, type SecureChannelHandler } from "../src/internal.ts";

export type Row = readonly [name: string, value: number, unit: string];

export interface Measure {
  readonly title: string;
  readonly rows: readonly Row[];
}

const LOOPBACK = "127.0.0.1" as IpAddress;

export function turnUntil(engine: EngineLoop, done: () => boolean): void {
  while (!done()) engine.poll(100);
}

export function connectedPair(engine: EngineLoop): [near: TcpConnection, far: TcpConnection] {
  let far: TcpConnection | undefined;
  let near: TcpConnection | undefined;
  const listener = engine.listenTcp({ netns: undefined, address: LOOPBACK, port: 0 }, (connection) => {
    far = connection;
  });
  engine.dialTcp({ netns: undefined, remote: listener.local, timeoutMs: 1_000 }, (result) => {
    if (result.kind === "failed") throw result.error;
    near = result.connection;
  });
  turnUntil(engine, () => near !== undefined && far !== undefined);
  listener.close();
  if (near === undefined || far === undefined) throw new Error("No connection");
  return [near, far];
}

/** Two secure channels; bytes that reach the far one are given to `onData`. */
export function securePair(onData: SecureChannelHandler["onData"]): {
  engine: EngineLoop;
  near: SecureChannel;
  far: SecureChannel;
} {
  const engine = createEngine();
  const [near, far] = connectedPair(engine);
  const authority = createTestAuthority();
  const credentials = (name: string) =>
    engine.credentials(authority.issue({ uris: [`spiffe://cluster.local/ns/bench/sa/${name}`] }));
  let open = 0;
  const handler: SecureChannelHandler = {
    onOpen: () => {
      open++;
    },
    onData,
    onWritable: () => undefined,
    onClosed: (error) => {
      if (error !== undefined) throw error;
    },
  };
  const server = openSecureChannel(engine, far, { role: "server", credentials: credentials("far") }, handler);
  const client = openSecureChannel(engine, near, { role: "client", credentials: credentials("near") }, handler);
  turnUntil(engine, () => open === 2);
  return { engine, near: client, far: server };
}

/** Calls `action` often enough to last about half a second; calls per second. */
export function perSecond(action: () => void): number {
  for (let i = 0; i < 200; i++) action();
  const start = performance.now();
  let count = 0;
  while (performance.now() - start < 500) {
    for (let i = 0; i < 50; i++) action();
    count += 50;
  }
  return (count * 1000) / (performance.now() - start);
}
