// Rule: what is written to a TLS channel in one turn leaves in one system call.
import { allocScratch, HEADROOM_BYTES } from "../src/internal.ts";
import { type Measure, perSecond, type Row, securePair, turnUntil } from "./rig.ts";

const MESSAGE_BYTES = 1_024;

export function measureFlush(): Measure {
  const slab = allocScratch();
  const rows = [1, 4, 16].map((perTurn): Row => {
    let received = 0;
    const { engine, near } = securePair((_slab, _offset, length) => {
      received += length;
    });
    const turns = perSecond(() => {
      received = 0;
      for (let i = 0; i < perTurn; i++) near.write(slab, HEADROOM_BYTES, MESSAGE_BYTES);
      turnUntil(engine, () => received >= perTurn * MESSAGE_BYTES);
    });
    engine.close();
    return [`${perTurn} messages of ${MESSAGE_BYTES} bytes per turn`, 1e6 / (turns * perTurn), "µs per message"];
  });
  return { title: "One write per turn (TLS, both ends)", rows };
}
