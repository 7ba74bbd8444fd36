// Placeholder so that the types hold until the contender is written.
import type { Contender } from "../contender.ts";
export const ambit: Contender = { name: "ambit", start: () => Promise.reject(new Error("not built")) };
