// What can go wrong between this process and discovery.
import type { ErrorSpec } from "@ambit/core";

export type DiscoveryCode =
  | "DISCOVERY_DUMP_INVALID"
  | "DISCOVERY_RESOURCE_INVALID"
  | "DISCOVERY_STREAM_ENDED"
  | "DISCOVERY_CREDENTIALS_UNREADABLE";

export const discoveryErrors = {
  DISCOVERY_DUMP_INVALID: { summary: "A configuration dump has a value that makes no sense", retry: "no" },
  DISCOVERY_RESOURCE_INVALID: {
    summary: "A discovery resource could not be read; it is refused, the rest applies",
    retry: "later",
  },
  DISCOVERY_STREAM_ENDED: {
    summary: "The discovery stream broke; what is known stays and the client reconnects",
    retry: "later",
  },
  DISCOVERY_CREDENTIALS_UNREADABLE: { summary: "The token or root certificate for discovery cannot be read", retry: "later" },
} satisfies Record<DiscoveryCode, ErrorSpec>;
