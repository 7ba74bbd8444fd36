// Medians and ranges; ratios are taken pair by pair, since only neighbours in time are comparable on a shared machine.

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function spread(values: readonly number[]): Spread {
  if (values.length === 0) throw new RangeError("A spread needs at least one value");
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  const lower = sorted[sorted.length % 2 === 0 ? middle - 1 : middle] ?? Number.NaN;
  return { median: (upper + lower) / 2, min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN };
}

/** Ratio of each value to the anchor's value of the same block. */
export function pairedRatios(values: readonly number[], anchor: readonly number[]): Spread {
  return spread(values.map((value, block) => value / (anchor[block] ?? Number.NaN)));
}
