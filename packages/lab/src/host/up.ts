// `up`: a lab in the background. `host`: the process that holds it there.
import { spawn } from "node:child_process";
import { closeSync, fstatSync, openSync, readSync, unlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { LabClient } from "../api/client.ts";
import { labError } from "../errors.ts";
import { defaultLabDirectory, labPaths, PROGRAMS } from "../paths.ts";
import { DEFAULT_NODES, Lab } from "./lab.ts";
import { prepareDirectory } from "./state-directory.ts";

const PAGE = { namespace: "bookinfo", target: "svc/productpage", port: 9080 };
const LOOK_AGAIN_MS = 50;

function optionsFrom(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      "no-mesh": { type: "boolean", default: false },
      node: { type: "string", multiple: true },
      "page-port": { type: "string", default: String(PAGE.port) },
    },
  });
  return { mesh: !values["no-mesh"], nodes: values.node ?? DEFAULT_NODES, pagePort: Number(values["page-port"]) };
}

/** Resolves when the lab is ready; it then outlives this process. @throws LAB_ALREADY_RUNNING, LAB_START_FAILED */
export async function up(args: readonly string[]): Promise<void> {
  optionsFrom(args);
  const paths = labPaths(defaultLabDirectory(process.env));
  await prepareDirectory(paths);
  // Only this process reads what the other says: the file has no name any more.
  const outputFile = `${paths.root}.${process.pid}.log`;
  const output = openSync(outputFile, "wx+", 0o600);
  unlinkSync(outputFile);
  const holder = spawn(process.execPath, [PROGRAMS.lab, "host", ...args], { detached: true, stdio: ["ignore", output, output] });
  const client = new LabClient(paths.socket);
  try {
    for (;;) {
      if (holder.exitCode !== null || holder.signalCode !== null)
        throw labError("LAB_START_FAILED", readFromStart(output).trim());
      const state = await client.state().catch(() => undefined);
      if (state?.ready) break;
      await sleep(LOOK_AGAIN_MS);
    }
  } finally {
    await client.close();
    closeSync(output);
  }
  holder.unref();
}

function readFromStart(fd: number): string {
  const buffer = Buffer.alloc(fstatSync(fd).size);
  return buffer.toString("utf8", 0, readSync(fd, buffer, 0, buffer.length, 0));
}

/** Holds a lab and its forwarded port until the lab ends or a signal comes. */
export async function host(args: readonly string[]): Promise<void> {
  const { mesh, nodes, pagePort } = optionsFrom(args);
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => stop.abort());
  const lab = await Lab.start({ mesh, nodes, signal: stop.signal });
  try {
    if (pagePort !== 0) await lab.forward(PAGE, pagePort);
  } catch (error) {
    // Somebody else has the port; everything but the page is there all the same.
    console.error(`127.0.0.1:${pagePort} cannot be opened: ${error instanceof Error ? error.message : String(error)}`);
  }
  console.log("lab is up");
  const stopped = new Promise((resolve) => stop.signal.addEventListener("abort", resolve, { once: true }));
  await Promise.race([lab.ended, stopped]);
  await lab.stop();
}
