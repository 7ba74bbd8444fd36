// What is accepted and does not do what it says.

export interface TranslationProblem {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly reason: string;
}
