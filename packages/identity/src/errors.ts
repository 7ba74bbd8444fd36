// What can go wrong between a workload and its certificate.
import type { ErrorSpec } from "@ambit/core";

export type IdentityErrorCode =
  | "IDENTITY_CSR_INVALID"
  | "IDENTITY_CERTIFICATE_INVALID"
  | "IDENTITY_CA_UNREACHABLE"
  | "IDENTITY_CA_REFUSED"
  | "IDENTITY_CA_REPLY_INVALID"
  | "IDENTITY_EXPIRED"
  | "IDENTITY_FORGOTTEN";

export const identityErrors = {
  IDENTITY_CSR_INVALID: {
    summary: "A certificate signing request does not parse, is not signed by its own key, or names no identity.",
    retry: "no",
    flag: "IDENTITY_ERROR",
  },
  IDENTITY_CERTIFICATE_INVALID: {
    summary: "A certificate does not parse or does not fit its key or issuer.",
    retry: "no",
    flag: "IDENTITY_ERROR",
  },
  IDENTITY_CA_UNREACHABLE: { summary: "The certificate authority did not answer.", retry: "later", flag: "IDENTITY_ERROR" },
  IDENTITY_CA_REFUSED: {
    summary: "The certificate authority refused to sign; its text says why.",
    retry: "later",
    flag: "IDENTITY_ERROR",
  },
  IDENTITY_CA_REPLY_INVALID: {
    summary: "The certificate authority's answer is not a usable chain for the identity asked for.",
    retry: "later",
    flag: "IDENTITY_ERROR",
  },
  IDENTITY_EXPIRED: {
    summary: "The workload's certificate has expired and could not be renewed; connections are refused.",
    retry: "later",
    flag: "IDENTITY_ERROR",
  },
  IDENTITY_FORGOTTEN: {
    summary: "The last workload of the identity left the node while its certificate was being fetched.",
    retry: "no",
    flag: "IDENTITY_ERROR",
  },
} as const satisfies Record<IdentityErrorCode, ErrorSpec>;
