// Exit codes, the same for every verb.

export const EXIT = {
  /** Done, healthy, allowed. */
  ok: 0,
  /** Could not do it: a network or API failure. */
  failed: 1,
  /** Wrong usage. */
  usage: 2,
  /** The answer is negative: a check failed, access is denied. */
  negative: 3,
  timedOut: 4,
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
