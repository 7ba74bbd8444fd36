// A decision with the reasons for it, in order, and how close the other outcome was.

/** One thing that was looked at, and what was found. */
export interface Reason {
  /** "rule[0].to ports [9080]" */
  readonly subject: string;
  /** "9081 does not match" */
  readonly finding: string;
  /** Whether the outcome hangs on this reason. */
  readonly decides: boolean;
}

/** The rule that came closest to turning the outcome. */
export interface NearMiss {
  /** "rule[1] of policy bookinfo/viewer matched all but the namespaces" */
  readonly text: string;
  /** "would be allowed if: rule[1].from.namespaces contained default" */
  readonly remedy: string;
}

export interface Decision<Outcome> {
  readonly outcome: Outcome;
  readonly reasons: readonly Reason[];
  readonly nearMiss?: NearMiss;
}

/** Where a decision under way leaves its reasons. Without one, nothing is built. */
export type Trace = Reason[];

export function note(trace: Trace | undefined, subject: string, finding: string, decides = false): void {
  trace?.push({ subject, finding, decides });
}

/** One line per reason with the findings in a column, then the near miss. */
export function formatDecision(decision: Decision<unknown>): string[] {
  const width = Math.max(0, ...decision.reasons.map((reason) => reason.subject.length));
  const lines = decision.reasons.map(({ subject, finding, decides }) => {
    const line = `${subject.padEnd(width)}  ${finding}`;
    return decides ? `${line}  <-- decides` : line;
  });
  if (decision.nearMiss !== undefined) lines.push(`near miss: ${decision.nearMiss.text}`, decision.nearMiss.remedy);
  return lines;
}
