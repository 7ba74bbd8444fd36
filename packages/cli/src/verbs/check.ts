// `ambit check`: is this machine fit, is the mesh healthy.
import { spawnSync } from "node:child_process";
import { cliError } from "../errors.ts";
import { EXIT } from "../exit-codes.ts";
import { type Finding, finding, type Group, type Level } from "../findings.ts";
import { openMesh } from "../lab-access.ts";
import type { MeshAccess } from "../mesh-access.ts";
import { nodeDump } from "../node-dump.ts";
import { parseOutputFormat, renderListing, renderTable } from "../output.ts";
import { stringOption, type Verb } from "../verb.ts";
import { outputOption } from "./shared-options.ts";
import { collectStatus } from "./status.ts";

const LEVELS: readonly Level[] = ["info", "warn", "error"];

export const verb: Verb = {
  options: {
    ...outputOption,
    pre: { type: "boolean", help: "Only whether this machine can run a mesh" },
    "fail-on": {
      type: "string",
      placeholder: "LEVEL",
      help: "error (default), warn or info: the lowest level that makes the exit code 3",
    },
  },
  async run(args, io) {
    const format = parseOutputFormat(stringOption(args, "output"));
    const failOn = parseLevel(stringOption(args, "fail-on") ?? "error");
    const groups: Group[] = ["node"];
    const findings = machineFindings();
    if (args.options["pre"] !== true) {
      const access = await openMesh(io.env);
      try {
        findings.push(...(await meshFindings(access)));
        groups.push("control-plane", "identity", "data-plane", "config");
      } finally {
        await access.close();
      }
    }
    if (format === "table" || format === "wide") io.out(findingsText(groups, findings));
    else
      io.out(
        await renderListing(
          { kind: "CheckResult", items: findings, columns: [], nameOf: (item) => `${item.code}/${item.object}` },
          format,
        ),
      );
    return findings.some((item) => LEVELS.indexOf(item.level) >= LEVELS.indexOf(failOn)) ? EXIT.negative : EXIT.ok;
  },
};

function parseLevel(text: string): Level {
  const level = LEVELS.find((candidate) => candidate === text);
  if (level === undefined) throw cliError("CLI_USAGE", `--fail-on ${text} is not one of ${LEVELS.join(", ")}`);
  return level;
}

function machineFindings(): Finding[] {
  if (process.platform !== "linux") return [finding("AMBIT-1001", "machine", `the platform is ${process.platform}`)];
  const findings: Finding[] = [];
  const user = process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"];
  const unshare = spawnSync("unshare", [...user, "--net", "true"], { encoding: "utf8" });
  if (unshare.status !== 0)
    findings.push(finding("AMBIT-1002", "machine", (unshare.stderr || String(unshare.error ?? "")).trim()));
  for (const program of ["ip", "iptables", "ipset"]) {
    const found = spawnSync("sh", ["-c", `PATH="$PATH:/usr/sbin:/sbin" command -v ${program}`]).status === 0;
    if (!found) findings.push(finding("AMBIT-1003", "machine", `${program} is not installed`));
  }
  return findings;
}

async function meshFindings(access: MeshAccess): Promise<Finding[]> {
  const status = await collectStatus(access, Date.now());
  const findings: Finding[] = [];
  if (!status.controlPlane.reachable) findings.push(finding("AMBIT-1101", "istiod-lite", "its HTTP port does not answer"));
  else findings.push(...(await controlPlaneFindings(access)));
  for (const proxy of status.proxies) {
    if (!proxy.reachable) findings.push(finding("AMBIT-1301", `node/${proxy.node}`, proxy.problem ?? "does not answer"));
    else {
      if (proxy.pending > 0) findings.push(finding("AMBIT-1303", `node/${proxy.node}`, `${proxy.pending} pods are pending`));
      findings.push(...(await certificateFindings(access, proxy.node)));
    }
  }
  for (const pod of status.pods) {
    if (pod.wantsMesh && pod.redirection !== "enabled") {
      findings.push(
        finding("AMBIT-1302", `pod/${pod.namespace}/${pod.name}`, `its redirection is ${pod.redirection ?? "not in place"}`),
      );
    }
  }
  return findings;
}

interface RefusedObject {
  readonly file: string;
  readonly line: number;
  readonly path: string;
  readonly reason: string;
}

async function controlPlaneFindings(access: MeshAccess): Promise<Finding[]> {
  const page = JSON.parse(await access.controlPlane("/debug/problems")) as { readonly refused: readonly RefusedObject[] };
  return page.refused.map(({ file, line, path, reason }) => finding("AMBIT-1401", `${file}:${line}`, `${path}: ${reason}`));
}

/** Renewal is due at half of the lifetime; past four fifths something is wrong. */
const WORRYING_SHARE = 0.8;

async function certificateFindings(access: MeshAccess, node: string): Promise<Finding[]> {
  const dump = await nodeDump(access, node);
  return dump.certificates.flatMap(({ identity, state, certChain }) => {
    const leaf = certChain[0];
    if (leaf === undefined || state !== "Available") return [finding("AMBIT-1201", identity, `state ${state} on node ${node}`)];
    const [from, until] = [Date.parse(leaf.validFrom), Date.parse(leaf.expirationTime)];
    const used = (Date.now() - from) / (until - from);
    return used > WORRYING_SHARE
      ? [finding("AMBIT-1202", identity, `${Math.round(used * 100)} % of its lifetime is used up on node ${node}`)]
      : [];
  });
}

function findingsText(groups: readonly Group[], findings: readonly Finding[]): string {
  const rows: string[][] = [];
  for (const group of groups) {
    const own = findings.filter((item) => item.group === group);
    if (own.length === 0) rows.push([group, "ok"]);
    for (const item of own) {
      rows.push([group, item.level === "error" ? "!!" : "!", `${item.code} ${item.object}: ${item.cause}`]);
      rows.push(["", "", `fix: ${item.remedy}`]);
    }
  }
  const count = (level: Level) => findings.filter((item) => item.level === level).length;
  const verdict =
    findings.length === 0 ? "healthy" : `${count("error")} errors, ${count("warn")} warnings; ambit help CODE explains one`;
  return `${renderTable(rows)}${verdict}\n`;
}
