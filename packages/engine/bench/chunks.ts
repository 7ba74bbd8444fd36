// Rules: a hot flow is read in large chunks; plain-to-plain bulk does not leave the kernel.
import { createEngine, relay, type TcpConnection } from "../src/index.ts";
import { RELAY_SIDE, type RelayableStream, type RelaySide } from "../src/internal.ts";
import { connectedPair, type Measure, type Row, turnUntil } from "./rig.ts";

const TOTAL_BYTES = 1 << 30;

export function measureChunks(): Measure {
  const rows: Row[] = [];
  for (const limit of [1_024, 4_096, 16_384, 65_536, 262_144]) {
    rows.push([`copied, reads of at most ${limit} bytes`, throughput((stream) => limited(stream, limit)), "Gbit/s"]);
  }
  rows.push(["spliced", throughput((stream) => stream), "Gbit/s"]);
  return { title: "TCP to TCP relay of 1 GiB (sender, relay and receiver in one thread)", rows };
}

function throughput(sink: (stream: TcpConnection) => TcpConnection): number {
  const engine = createEngine();
  const [sender, downstream] = connectedPair(engine);
  const [upstream, receiver] = connectedPair(engine);
  relay(downstream, sink(upstream), () => undefined);
  let received = 0;
  receiver.handle({
    onData: (chunk) => {
      received += chunk.length;
    },
    onEnd: () => undefined,
    onError: (error) => {
      throw error;
    },
  });
  const block = new Uint8Array(256 * 1024);
  let sent = 0;
  const send = (): void => {
    while (sent < TOTAL_BYTES) {
      sent += block.length;
      if (!sender.write(block)) return;
    }
  };
  sender.handle({
    onData: () => undefined,
    onEnd: () => undefined,
    onError: (error) => {
      throw error;
    },
    onDrain: send,
  });
  const start = performance.now();
  send();
  turnUntil(engine, () => received >= TOTAL_BYTES);
  const seconds = (performance.now() - start) / 1000;
  engine.close();
  return (received * 8) / 1e9 / seconds;
}

/** The same connection, offering less room per read and hiding that it is one the kernel could splice to. */
function limited(stream: TcpConnection, limit: number): TcpConnection {
  const side = (stream as TcpConnection & RelayableStream)[RELAY_SIDE]();
  const narrow: RelaySide = {
    join: (peer, onClosed) => side.join(peer, onClosed),
    get relayedBytes() {
      return side.relayedBytes;
    },
    capacity: () => Math.min(side.capacity(), limit),
    push: (slab, offset, length) => side.push(slab, offset, length),
    pushEnd: () => side.pushEnd(),
    onCapacity: () => side.onCapacity(),
    onCredit: (length) => side.onCredit(length),
    reset: () => side.reset(),
  };
  return Object.assign(Object.create(stream) as TcpConnection, { [RELAY_SIDE]: () => narrow });
}
