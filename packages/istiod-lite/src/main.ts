// The control plane as a process.
import { DirectorySource } from "@ambit/kube";
import { LogOutput, loadConfig, printableConfig, runMain } from "@ambit/runtime";
import { buildApp } from "./app.ts";
import { istiodConfigSpec } from "./config.ts";

await runMain(async (signal, { onExit }) => {
  const config = loadConfig(istiodConfigSpec, process.env);
  const output = new LogOutput(config.logFormat, config.logFilter);
  onExit(() => output.flush());
  const logger = output.logger("istiod");
  logger.info("Configuration", printableConfig(istiodConfigSpec, config));
  const source = new DirectorySource({ directory: config.sourceDirectory, logger: logger.scope("source") });
  await buildApp(config, { source, logger }).run(signal);
});
