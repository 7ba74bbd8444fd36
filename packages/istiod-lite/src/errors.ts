// What can go wrong in the control plane.
import type { ErrorSpec } from "@ambit/core";

export type IstiodErrorCode =
  | "ISTIOD_UNAUTHENTICATED"
  | "ISTIOD_NOT_AUTHORIZED"
  | "ISTIOD_REQUEST_INVALID"
  | "ISTIOD_TOKEN_KEYS_UNREADABLE"
  | "ISTIOD_CA_UNUSABLE"
  | "ISTIOD_PORT_UNAVAILABLE";

export const istiodErrors = {
  ISTIOD_UNAUTHENTICATED: {
    summary:
      "A caller showed neither a valid client certificate nor a valid service-account token; the message names what is wrong.",
    retry: "later",
  },
  ISTIOD_NOT_AUTHORIZED: {
    summary: "A caller asked for an identity that no pod on its node has, or is no trusted node account.",
    retry: "later",
  },
  ISTIOD_REQUEST_INVALID: { summary: "A request is malformed or asks for a lifetime beyond the maximum.", retry: "no" },
  ISTIOD_TOKEN_KEYS_UNREADABLE: { summary: "TOKEN_KEYS_FILE is missing or holds no JSON Web Key set.", retry: "later" },
  ISTIOD_CA_UNUSABLE: { summary: "The files in CA_DIR do not make a certificate authority that can sign.", retry: "later" },
  ISTIOD_PORT_UNAVAILABLE: { summary: "The discovery port cannot be listened on.", retry: "later" },
} as const satisfies Record<IstiodErrorCode, ErrorSpec>;
