// The node agent as a process. With --cleanup it takes everything of ours out of this node and ends.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { DirectorySource, DirectoryWriter } from "@ambit/kube";
import { createRuleRunner, runCommand } from "@ambit/linux";
import { LogOutput, loadConfig, printableConfig, runMain } from "@ambit/runtime";
import { buildApp } from "./app.ts";
import { agentConfigSpec } from "./config.ts";

await runMain(async (signal, { onExit }) => {
  const config = loadConfig(agentConfigSpec, process.env);
  const output = new LogOutput(config.logFormat, config.logFilter);
  onExit(() => output.flush());
  const logger = output.logger("cni");
  logger.info("Configuration", printableConfig(agentConfigSpec, config));
  await mkdir(config.runDirectory, { recursive: true });
  const app = buildApp(config, {
    source: new DirectorySource({ directory: config.sourceDirectory, logger: logger.scope("source") }),
    writer: new DirectoryWriter(config.sourceDirectory),
    runner: await createRuleRunner(runCommand, {
      force: config.forceIptables,
      scopedLockFile: config.scopedLocking ? join(config.runDirectory, "xtables.lock") : undefined,
    }),
    logger,
  });
  if (process.argv.includes("--cleanup")) await app.cleanUp(signal);
  else await app.run(signal);
});
