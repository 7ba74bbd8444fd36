// Timers of one loop: a binary heap that knows where each timer is, so that cancelling is as cheap as firing.
import type { EngineTimer } from "./contract.ts";

const NOWHERE = -1;

/** Earlier deadlines first; equal ones in the order they were made. */
export class TimerHeap {
  readonly #heap: HeapTimer[] = [];
  #made = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** Deadline of the earliest timer, Infinity when there is none. */
  get earliestMs(): number {
    return this.#heap[0]?.deadlineMs ?? Number.POSITIVE_INFINITY;
  }

  add(deadlineMs: number, action: () => void): EngineTimer {
    const timer = new HeapTimer(this, deadlineMs, this.#made++, action);
    timer.index = this.#heap.length;
    this.#heap.push(timer);
    this.#up(timer);
    return timer;
  }

  /** Runs what is due at `nowMs`. A timer made meanwhile waits for the next call, also one with no delay. */
  runDue(nowMs: number): void {
    const madeBefore = this.#made;
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      if (first.deadlineMs > nowMs || first.serial >= madeBefore) return;
      this.remove(first);
      first.action();
    }
  }

  remove(timer: HeapTimer): void {
    const { index } = timer;
    if (index === NOWHERE) return;
    timer.index = NOWHERE;
    const last = this.#heap.pop();
    if (last === undefined || last === timer) return;
    this.#place(last, index);
    this.#up(last);
    this.#down(last);
  }

  #place(timer: HeapTimer, index: number): void {
    this.#heap[index] = timer;
    timer.index = index;
  }

  #up(timer: HeapTimer): void {
    while (timer.index > 0) {
      const { index } = timer;
      const parent = this.#heap[(index - 1) >> 1];
      if (parent === undefined || !timer.isBefore(parent)) return;
      this.#place(timer, parent.index);
      this.#place(parent, index);
    }
  }

  #down(timer: HeapTimer): void {
    for (;;) {
      const { index } = timer;
      const left = this.#heap[2 * index + 1];
      const right = this.#heap[2 * index + 2];
      const child = right !== undefined && left !== undefined && right.isBefore(left) ? right : left;
      if (child === undefined || !child.isBefore(timer)) return;
      this.#place(timer, child.index);
      this.#place(child, index);
    }
  }
}

class HeapTimer implements EngineTimer {
  readonly deadlineMs: number;
  readonly serial: number;
  readonly action: () => void;
  index = NOWHERE;
  readonly #owner: TimerHeap;

  constructor(owner: TimerHeap, deadlineMs: number, serial: number, action: () => void) {
    this.#owner = owner;
    this.deadlineMs = deadlineMs;
    this.serial = serial;
    this.action = action;
  }

  isBefore(other: HeapTimer): boolean {
    return this.deadlineMs < other.deadlineMs || (this.deadlineMs === other.deadlineMs && this.serial < other.serial);
  }

  cancel(): void {
    this.#owner.remove(this);
  }
}
