// For tests: a network namespace that is nothing but its identity.
import type { Netns } from "@ambit/linux";

export interface FakeNetns extends Netns {
  isClosed: boolean;
}

export function fakeNetns(id: string): FakeNetns {
  return {
    id,
    token: { id, fd: -1 },
    isClosed: false,
    close() {
      this.isClosed = true;
    },
  };
}
