// Runs an engine on a thread that also runs Node's event loop: for tests and tools, which await things meanwhile.
import { fdWatcher } from "@ambit/linux/syscalls";
import type { EngineLoop } from "./engine.ts";
import { reactorOf } from "./reactor-of.ts";

export interface EngineDriver {
  /** Stops driving and closes every descriptor of the engine. */
  close(): void;
}

/** The engine's turns run whenever its descriptors or timers ask for one; nothing polls. What a handler throws becomes uncaught. */
export function driveEngine(engine: EngineLoop): EngineDriver {
  const reactor = reactorOf(engine);
  let open = true;
  let scheduled = false;
  let timer: NodeJS.Timeout | undefined;

  const schedule = (): void => {
    if (scheduled || !open) return;
    scheduled = true;
    setImmediate(turn);
  };
  const turn = (): void => {
    scheduled = false;
    if (!open) return;
    engine.poll(0);
    if (!open) return;
    clearTimeout(timer);
    const idleMs = reactor.idleMs();
    if (idleMs === 0) schedule();
    else if (idleMs !== Number.POSITIVE_INFINITY) timer = setTimeout(schedule, Math.ceil(idleMs));
    watch();
  };
  let watching = false;
  const watch = (): void => {
    if (watching) return;
    watching = true;
    void fdWatcher()
      .ready(reactor.pollFd, "readable")
      .then(() => {
        watching = false;
        schedule();
      });
  };
  reactor.onOutsideWork = schedule;
  schedule();
  return {
    close() {
      if (!open) return;
      open = false;
      clearTimeout(timer);
      reactor.onOutsideWork = undefined;
      fdWatcher().forget(reactor.pollFd);
      engine.close();
    },
  };
}
