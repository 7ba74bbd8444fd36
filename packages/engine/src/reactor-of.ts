// The loop behind an engine, and the engine behind a connection.
import type { ByteStream, Engine } from "./contract.ts";
import { engineError } from "./errors.ts";
import { Reactor } from "./reactor.ts";

const reactors = new WeakMap<Engine, Reactor>();
const engines = new WeakMap<Reactor, Engine>();

export function registerEngine(engine: Engine, reactor: Reactor): void {
  reactors.set(engine, reactor);
  engines.set(reactor, engine);
}

export function reactorOf(engine: Engine): Reactor {
  const reactor = reactors.get(engine);
  if (reactor === undefined) throw engineError("ENGINE_LISTEN_FAILED", "This object is no engine of this thread");
  return reactor;
}

/** The engine that a TCP connection belongs to; undefined for any other stream. */
export function engineOf(stream: ByteStream): Engine | undefined {
  return "reactor" in stream && stream.reactor instanceof Reactor ? engines.get(stream.reactor) : undefined;
}
