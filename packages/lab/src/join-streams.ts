// Two connections made one.
import type { Duplex } from "node:stream";

/** Bytes both ways; an end goes through, a break breaks both. */
export function joinStreams(a: Duplex, b: Duplex): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.pipe(to);
    from.on("error", () => to.destroy());
    from.on("close", () => {
      if (!to.destroyed) to.end();
    });
  }
}
