// Options that several verbs share.
import type { OptionSpec } from "../verb.ts";

export const outputOption: Readonly<Record<string, OptionSpec>> = {
  output: { type: "string", short: "o", placeholder: "FORMAT", help: "table, wide, json, yaml, ndjson or name" },
};

export const meshOptions: Readonly<Record<string, OptionSpec>> = {
  namespace: { type: "string", short: "n", placeholder: "NAMESPACE", help: "Namespace of the objects named" },
};
