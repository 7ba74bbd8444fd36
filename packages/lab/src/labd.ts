// The lab's process inside its namespaces: everything it made ends with it.
import { readFile } from "node:fs/promises";
import { LogOutput, listen, parseLogFilter, runMain } from "@ambit/runtime";
import { createApiServer } from "./api/server.ts";
import { Cluster, type ClusterOptions } from "./cluster.ts";
import { labError, messageOf } from "./errors.ts";
import type { ProcessIdentity } from "./host/process-identity.ts";
import { labPaths } from "./paths.ts";

/** What the host has written for labd. */
export interface LabInfo extends ClusterOptions {
  readonly host: ProcessIdentity;
}

/** Works until asked to end, or until whoever started it is gone: then its standard input ends. */
export async function runLabd(directory: string): Promise<void> {
  await runMain(async (signal, { onExit }) => {
    const paths = labPaths(directory);
    const info = JSON.parse(await readFile(paths.info, "utf8")) as LabInfo;
    const filter = parseLogFilter(process.env["AMBIT_LOG_LEVEL"] ?? "info");
    if (filter === undefined) throw labError("LAB_REQUEST_INVALID", "AMBIT_LOG_LEVEL is not a log filter");
    const output = new LogOutput("text", filter);
    onExit(() => output.flush());
    const logger = output.logger("labd");
    const stop = new AbortController();
    const stopped = new Promise<void>((resolve) => stop.signal.addEventListener("abort", () => resolve(), { once: true }));
    signal.addEventListener("abort", () => stop.abort());
    process.stdin.on("end", () => stop.abort()).resume();
    const cluster = new Cluster(paths, info, logger);
    const server = createApiServer(cluster, () => stop.abort());
    await listen(server, { path: paths.socket });
    logger.info("Lab is starting", { directory, nodes: info.nodes, mesh: info.mesh });
    try {
      await Promise.race([cluster.start(), stopped]);
      if (!stop.signal.aborted) logger.info("Lab is ready");
      await stopped;
    } catch (error) {
      logger.error(messageOf(error));
      process.exitCode = 1;
    } finally {
      logger.info("Lab is ending");
      await server.close();
      await cluster.stop();
    }
  });
}
