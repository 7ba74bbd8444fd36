// What can go wrong between us and the kernel.
import type { ErrorSpec } from "@ambit/core";

export type LinuxErrorCode =
  | "LINUX_SYSTEM_CALL_FAILED"
  | "LINUX_SYMBOL_MISSING"
  | "LINUX_NETNS_INVALID"
  | "LINUX_DEVICE_UNSUPPORTED"
  | "LINUX_CHANNEL_FAILED"
  | "LINUX_FRAME_INVALID"
  | "LINUX_COMMAND_UNAVAILABLE"
  | "LINUX_COMMAND_TIMEOUT"
  | "LINUX_COMMAND_FAILED"
  | "LINUX_IPTABLES_UNAVAILABLE";

export const linuxErrors = {
  LINUX_SYSTEM_CALL_FAILED: { summary: "The kernel refused a call; `details.errno` says why", retry: "later" },
  LINUX_SYMBOL_MISSING: { summary: "This Node build lacks a C function that we need", retry: "no" },
  LINUX_NETNS_INVALID: { summary: "What was given as a network namespace is none, or no longer the same one", retry: "no" },
  LINUX_DEVICE_UNSUPPORTED: { summary: "Packets cannot be captured on this device", retry: "no" },
  LINUX_CHANNEL_FAILED: { summary: "A descriptor-passing socket could not be opened or broke", retry: "yes" },
  LINUX_FRAME_INVALID: {
    summary: "A packet on a descriptor-passing socket was too long or carried the wrong descriptors",
    retry: "no",
  },
  LINUX_COMMAND_UNAVAILABLE: { summary: "A program we need is not installed", retry: "later" },
  LINUX_COMMAND_TIMEOUT: { summary: "A program did not end in time", retry: "yes" },
  LINUX_COMMAND_FAILED: { summary: "A program ended with an error", retry: "no" },
  LINUX_IPTABLES_UNAVAILABLE: { summary: "No iptables on this machine can write rules", retry: "later" },
} satisfies Record<LinuxErrorCode, ErrorSpec>;
