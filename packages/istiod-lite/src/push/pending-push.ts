// What one proxy has not been told yet: at most one push, into which later changes are merged until the proxy takes it.
import type { ChangedNames } from "../ambient-index.ts";
import type { ResourceTypeUrl } from "../resource.ts";
import { mergeNames } from "./debouncer.ts";

export class PendingPush {
  #names = new Map<ResourceTypeUrl, Set<string>>();
  #sinceMs = 0;

  get isEmpty(): boolean {
    return this.#names.size === 0;
  }

  add(changed: ChangedNames, sinceMs: number): void {
    if (this.isEmpty) this.#sinceMs = sinceMs;
    mergeNames(this.#names, changed);
  }

  /** Everything that is waiting, and since when. */
  take(): { readonly changed: ChangedNames; readonly sinceMs: number } {
    const changed = this.#names;
    this.#names = new Map();
    return { changed, sinceMs: this.#sinceMs };
  }
}
