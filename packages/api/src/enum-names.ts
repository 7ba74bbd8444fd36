// Enum numbers of the wire and the words of the vocabulary: one table each, read in both directions.
import { invalidField } from "./errors.ts";

export interface EnumNames<Word extends string> {
  /** @throws API_RESOURCE_INVALID when the number has no word */
  decode(path: string, number: number): Word;
  encode(word: Word): number;
}

/** `words[n]` is the word for number n; null marks a number that is known and refused. */
export function enumNames<Word extends string>(words: readonly (Word | null)[]): EnumNames<Word> {
  return {
    decode(path, number) {
      const word = words[number];
      if (word === undefined || word === null) throw invalidField(path, `${number} is not a value that this version supports`);
      return word;
    },
    encode: (word) => words.indexOf(word),
  };
}
