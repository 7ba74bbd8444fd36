// `ambit lab`: a whole mesh on this machine, and what one does with its objects and pods.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { cliError } from "../errors.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { LabApi, labDirectory, labSocket } from "../lab-api.ts";
import { parseOutputFormat, renderListing } from "../output.ts";
import { stringOption, type Verb, type VerbArguments, type VerbIo } from "../verb.ts";
import { meshOptions, outputOption } from "./shared-options.ts";

const LAB_PROGRAM = fileURLToPath(new URL("../../../lab/src/main.ts", import.meta.url));

export const verb: Verb = {
  options: {
    ...outputOption,
    ...meshOptions,
    filename: { type: "string", short: "f", multiple: true, placeholder: "FILE", help: "apply: manifest, - for standard input" },
    "no-mesh": { type: "boolean", help: "up: nodes and pods only, without control plane and node proxies" },
    node: { type: "string", multiple: true, placeholder: "NAME", help: "up: name of a node; node-a and node-b when absent" },
    "page-port": { type: "string", placeholder: "PORT", help: "up: port for the product page on 127.0.0.1, 0 for none" },
  },
  async run(args, io) {
    const [action = "", ...names] = args.positionals;
    const run = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
    if (run === undefined) throw cliError("CLI_USAGE", `lab ${action}: use one of ${Object.keys(ACTIONS).join(", ")}`);
    return run(names, args, io);
  },
};

type Action = (names: readonly string[], args: VerbArguments, io: VerbIo) => Promise<ExitCode>;

const ACTIONS: Readonly<Record<string, Action>> = { up, down, apply, exec, logs };

async function up(_names: readonly string[], args: VerbArguments, io: VerbIo): Promise<ExitCode> {
  const nodes = listOption(args, "node").flatMap((name) => ["--node", name]);
  const port = stringOption(args, "page-port");
  const options = [
    ...(args.options["no-mesh"] === true ? ["--no-mesh"] : []),
    ...nodes,
    ...(port === undefined ? [] : ["--page-port", port]),
  ];
  io.err(`starting the lab in ${labDirectory(io.env)}\n`);
  const code = await runLabProgram(["up", ...options], io);
  if (code === EXIT.ok) io.out("lab is up; next: ambit lab apply -f FILE, ambit status, ambit lab down\n");
  return code;
}

async function down(_names: readonly string[], _args: VerbArguments, io: VerbIo): Promise<ExitCode> {
  const code = await runLabProgram(["down"], io);
  if (code === EXIT.ok) io.out("lab is down\n");
  return code;
}

/** The lab outlives this command. What goes wrong it says itself, on standard error. */
async function runLabProgram(args: readonly string[], { env, err, signal }: VerbIo): Promise<ExitCode> {
  const child = spawn(process.execPath, [LAB_PROGRAM, ...args], { env: { ...env }, stdio: ["ignore", "ignore", "pipe"], signal });
  const said = text(child.stderr);
  const [code] = (await once(child, "exit")) as [number | null];
  err(await said);
  return code === 0 ? EXIT.ok : EXIT.failed;
}

interface AppliedObject {
  readonly file: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly result: string;
}

async function apply(_names: readonly string[], args: VerbArguments, io: VerbIo): Promise<ExitCode> {
  const files = listOption(args, "filename");
  if (files.length === 0) throw cliError("CLI_USAGE", "lab apply needs -f FILE");
  const format = parseOutputFormat(stringOption(args, "output"));
  const namespace = stringOption(args, "namespace");
  return withLab(io, async (api) => {
    const items: AppliedObject[] = [];
    for (const file of files) {
      const yaml = file === "-" ? await text(process.stdin) : await readManifest(file);
      const request = { yaml, file: file === "-" ? "standard-input" : file, ...(namespace === undefined ? {} : { namespace }) };
      for (const applied of await api.json<Omit<AppliedObject, "file">[]>("POST", "/apply", request))
        items.push({ file, ...applied });
    }
    const nameOf = ({ kind, namespace: inside, name }: AppliedObject) =>
      [kind.toLowerCase(), inside, name].filter(Boolean).join("/");
    if (format === "table") for (const item of items) io.out(`${nameOf(item)} ${item.result}\n`);
    else io.out(await renderListing({ kind: "AppliedList", items, columns: [], nameOf }, format));
    return EXIT.ok;
  });
}

async function readManifest(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw cliError("CLI_USAGE", `${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`, error);
  }
}

type ExecEvent = { readonly stream: "stdout" | "stderr"; readonly base64: string } | { readonly exitCode: number };

async function exec([pod]: readonly string[], args: VerbArguments, io: VerbIo): Promise<ExitCode> {
  if (pod === undefined || args.rest.length === 0)
    throw cliError("CLI_USAGE", "lab exec POD -- COMMAND; POD is a name or deploy/NAME");
  const namespace = stringOption(args, "namespace") ?? "default";
  return withLab(io, async (api) => {
    const body = await api.open("POST", "/exec", { namespace, pod, command: args.rest }, io.signal);
    const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
    for await (const line of linesOf(body)) {
      const event = JSON.parse(line) as ExecEvent;
      if ("exitCode" in event) {
        if (event.exitCode === 0) return EXIT.ok;
        io.err(`command ended with exit code ${event.exitCode}\n`);
        return EXIT.failed;
      }
      const decoded = decoders[event.stream].decode(Buffer.from(event.base64, "base64"), { stream: true });
      if (event.stream === "stdout") io.out(decoded);
      else io.err(decoded);
    }
    throw cliError("CLI_API_FAILED", "The lab ended while the command was running");
  });
}

async function* linesOf(body: AsyncIterable<unknown>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

async function logs([name]: readonly string[], args: VerbArguments, io: VerbIo): Promise<ExitCode> {
  return withLab(io, async (api) => {
    const known = await api.json<string[]>("GET", "/logs");
    if (name === undefined) {
      io.out(known.map((log) => `${log}\n`).join(""));
      return EXIT.ok;
    }
    const log = findLog(known, name, stringOption(args, "namespace") ?? "default");
    if (log === undefined) throw cliError("CLI_NOT_FOUND", `There is no log of ${name}; ambit lab logs lists them`);
    for await (const chunk of await api.open("GET", `/logs/${encodeURIComponent(log)}`, undefined, io.signal))
      io.out(String(chunk));
    return EXIT.ok;
  });
}

/** A log's own name, a pod's, `deploy/NAME`, or `COMPONENT/NODE`. */
function findLog(known: readonly string[], name: string, namespace: string): string | undefined {
  const [type = "", rest] = name.split("/");
  const wanted =
    rest === undefined ? [name, `${namespace}_${name}`] : type === "pod" ? [`${namespace}_${rest}`] : [`${type}-${rest}`];
  const exact = known.find((log) => wanted.includes(log));
  if (exact !== undefined || type !== "deploy" || rest === undefined) return exact;
  // Pods of a Deployment: its name, the template's hash, five characters.
  const prefix = `${namespace}_${rest}-`;
  return known.findLast((log) => log.startsWith(prefix) && /^[a-z0-9]+-[a-z0-9]{5}$/.test(log.slice(prefix.length)));
}

async function withLab(io: VerbIo, action: (api: LabApi) => Promise<ExitCode>): Promise<ExitCode> {
  const api = new LabApi(labSocket(io.env));
  try {
    return await action(api);
  } finally {
    await api.close();
  }
}

function listOption(args: VerbArguments, name: string): readonly string[] {
  const value = args.options[name];
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}
