// The node proxy as a process: `proxy` (also without argument), or `version`.
import { LogOutput, loadConfig, printableConfig, runMain } from "@ambit/runtime";
import { runZtunnel } from "./app.ts";
import { ztunnelConfigSpec } from "./config.ts";
import { ownVersion } from "./report/process-metrics.ts";

if (process.argv[2] === "version") process.stdout.write(`${ownVersion()}\n`);
else {
  await runMain(async (signal, { onExit }) => {
    const config = loadConfig(ztunnelConfigSpec, process.env);
    const output = new LogOutput(config.logFormat === "json" ? "json" : "text", config.logFilter);
    onExit(() => output.flush());
    output.logger("ztunnel").info("configuration", printableConfig(ztunnelConfigSpec, config));
    await runZtunnel(config, { output, environment: process.env }, signal);
  });
}
