// The table of verbs. Each is loaded only when it is called, so that `ambit version` starts fast.
import type { Verb } from "./verb.ts";

export interface VerbEntry {
  readonly summary: string;
  readonly usage: string;
  load(): Promise<{ readonly verb: Verb }>;
}

export const verbs: Readonly<Record<string, VerbEntry>> = {
  lab: {
    summary: "A whole mesh on this machine: up, down, apply, exec, logs",
    usage: "lab up|down|apply -f FILE|exec POD -- COMMAND|logs POD-OR-COMPONENT",
    load: () => import("./verbs/lab.ts"),
  },
  status: {
    summary: "Control plane, node proxies, pods and certificates on one screen",
    usage: "status [-o FORMAT]",
    load: () => import("./verbs/status.ts"),
  },
  check: {
    summary: "Is the machine fit, is the mesh healthy; every finding with its remedy",
    usage: "check [--pre] [--fail-on error|warn|info]",
    load: () => import("./verbs/check.ts"),
  },
  explain: {
    summary: "Where one connection goes and which rule decides",
    usage: "explain --from TYPE/NAME --to svc/NAME|pod/NAME [--port N] [-n NAMESPACE]",
    load: () => import("./verbs/explain.ts"),
  },
  edges: {
    summary: "Who talks to whom, with encryption and identities",
    usage: "edges [-n NAMESPACE] [--insecure-only] [--denied]",
    load: () => import("./verbs/edges.ts"),
  },
  config: {
    summary: "What one node proxy holds: workloads, services, policies, certificates, connections",
    usage: "config node/NAME [--section workloads|services|policies|certificates|connections]",
    load: () => import("./verbs/config.ts"),
  },
  cert: {
    summary: "Identities, chains and the time left on them",
    usage: "cert [--expiring DURATION]",
    load: () => import("./verbs/cert.ts"),
  },
  prove: {
    summary: "Capture one path on the wire: is it TLS, whose identities, is a marked payload absent",
    usage: "prove --from pod/NAME --to svc/NAME[:PORT] [-n NAMESPACE]",
    load: () => import("./verbs/prove.ts"),
  },
  version: {
    summary: "Version of this command and of the control plane",
    usage: "version [--client]",
    load: () => import("./verbs/version.ts"),
  },
  completion: {
    summary: "Completion script for a shell",
    usage: "completion bash|zsh|fish",
    load: () => import("./verbs/completion.ts"),
  },
};
