// Network namespaces as values.

/** A network namespace kept open. Passed between threads as its `token`. */
export interface Netns {
  /** `<device>:<inode>`: equal for the same namespace, whichever way it was opened. */
  readonly id: string;
  /** Structured-cloneable stand-in; `netnsFromToken` in another thread of this process gives the same namespace. */
  readonly token: NetnsToken;
  close(): void;
}

export interface NetnsToken {
  readonly id: string;
  readonly fd: number;
}
