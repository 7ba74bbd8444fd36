// `ambit cert`.
import { cliError } from "../errors.ts";
import { EXIT } from "../exit-codes.ts";
import { openMesh } from "../lab-access.ts";
import { nodeDump } from "../node-dump.ts";
import { parseOutputFormat, renderListing } from "../output.ts";
import { stringOption, type Verb } from "../verb.ts";
import { outputOption } from "./shared-options.ts";

interface CertificateRow {
  readonly node: string;
  readonly identity: string;
  readonly state: string;
  readonly serial: string;
  readonly validFrom: string;
  readonly notAfter: string;
  readonly leftMs: number | undefined;
  readonly roots: number;
}

export const verb: Verb = {
  options: {
    ...outputOption,
    expiring: { type: "string", placeholder: "DURATION", help: "Only certificates with less time left, for instance 6h" },
  },
  async run(args, io) {
    const format = parseOutputFormat(stringOption(args, "output"));
    const withinMs = parseDuration(stringOption(args, "expiring"));
    const access = await openMesh(io.env);
    try {
      const nowMs = Date.now();
      const rows = (
        await Promise.all((await access.nodes()).map(async (node) => rowsOf(node.name, await nodeDump(access, node.name), nowMs)))
      ).flat();
      const items = withinMs === undefined ? rows : rows.filter((row) => row.leftMs === undefined || row.leftMs < withinMs);
      io.out(
        await renderListing({ kind: "CertificateList", items, columns, nameOf: (row) => `certificate/${row.identity}` }, format),
      );
      return EXIT.ok;
    } finally {
      await access.close();
    }
  },
};

function rowsOf(node: string, dump: Awaited<ReturnType<typeof nodeDump>>, nowMs: number): CertificateRow[] {
  return dump.certificates.map(({ identity, state, certChain, rootCerts }) => {
    const leaf = certChain[0];
    return {
      node,
      identity,
      state,
      serial: leaf?.serialNumber ?? "",
      validFrom: leaf?.validFrom ?? "",
      notAfter: leaf?.expirationTime ?? "",
      leftMs: leaf === undefined ? undefined : Date.parse(leaf.expirationTime) - nowMs,
      roots: rootCerts.length,
    };
  });
}

const columns = [
  { title: "NODE", value: (row: CertificateRow) => row.node },
  { title: "IDENTITY", value: (row: CertificateRow) => row.identity },
  { title: "STATE", value: (row: CertificateRow) => row.state },
  { title: "LEFT", value: (row: CertificateRow) => (row.leftMs === undefined ? "-" : formatDuration(row.leftMs)) },
  { title: "VALID FROM", value: (row: CertificateRow) => row.validFrom },
  { title: "NOT AFTER", value: (row: CertificateRow) => row.notAfter },
  { title: "SERIAL", wide: true, value: (row: CertificateRow) => row.serial },
  { title: "ROOTS", wide: true, value: (row: CertificateRow) => String(row.roots) },
];

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function parseDuration(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const match = /^(\d+)([smhd])$/.exec(text);
  if (match === null) throw cliError("CLI_USAGE", `${text} is not a duration; write 30s, 10m, 6h or 2d`);
  return Number(match[1]) * (UNIT_MS[match[2] ?? ""] ?? 0);
}

/** Two units at most: `23h59m`, `4m10s`, `expired`. */
export function formatDuration(ms: number): string {
  if (ms <= 0) return "expired";
  const seconds = Math.floor(ms / 1000);
  const [d, h, m, s] = [
    Math.floor(seconds / 86_400),
    Math.floor(seconds / 3600) % 24,
    Math.floor(seconds / 60) % 60,
    seconds % 60,
  ];
  if (d > 0) return `${d}d${h}h`;
  if (h > 0) return `${h}h${m}m`;
  return m > 0 ? `${m}m${s}s` : `${s}s`;
}
