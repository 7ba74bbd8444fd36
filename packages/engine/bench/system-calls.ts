// What one call into C costs: the floor under everything else.
import { openSync } from "node:fs";
import { ownNetns, runInNetns } from "@ambit/linux";
import { allocPinned, libc } from "@ambit/linux/syscalls";
import { writeSocketBytes } from "../src/socket-io.ts";
import { type Measure, perSecond } from "./rig.ts";

export function measureSystemCalls(): Measure {
  const zero = openSync("/dev/zero", "r");
  const pinned = allocPinned(4096);
  const plain = new Uint8Array(4096);
  const netns = ownNetns();
  const nanoseconds = (action: () => void) => 1e9 / perSecond(action);
  return {
    title: "Calls into C",
    rows: [
      ["read of one byte by address", nanoseconds(() => libc.read(zero, pinned.address, 1)), "ns"],
      ["send on a bad descriptor with a buffer argument", nanoseconds(() => writeSocketBytes(-1, plain)), "ns"],
      ["a function inside another network namespace and back", nanoseconds(() => runInNetns(netns, () => 0)), "ns"],
    ],
  };
}
