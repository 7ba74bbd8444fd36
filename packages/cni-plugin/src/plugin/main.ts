// The plugin as the container runtime starts it: environment and standard input in, one JSON object and an exit code out.
import { readFileSync } from "node:fs";
import type { LogFields, Logger, LogLevel } from "@ambit/core";
import { type AgentClient, createAgentClient } from "./agent-client.ts";
import { formatCniError } from "./cni-error.ts";
import { runCniCommand } from "./commands.ts";
import { type GetEnv, LATEST_CNI_VERSION, parseInvocation } from "./invocation.ts";

export interface PluginWorld {
  readonly getenv: GetEnv;
  readonly stdin: string;
  readonly writeStdout: (text: string) => void;
  readonly writeStderr: (text: string) => void;
  readonly connectAgent: (runDirectory: string) => AgentClient;
}

/** @returns the exit code; whatever happens, standard output holds a result or an error object of the CNI specification */
export async function runPlugin(world: PluginWorld): Promise<number> {
  try {
    const invocation = parseInvocation(world.getenv, world.stdin);
    const { cni_agent_run_dir: runDirectory, plugin_log_level: level } = invocation.config;
    const deps = { agent: world.connectAgent(runDirectory), logger: stderrLogger(world.writeStderr, level, "cni") };
    const output = await runCniCommand(invocation, deps);
    if (output !== "") world.writeStdout(`${output}\n`);
    return 0;
  } catch (error) {
    world.writeStdout(`${formatCniError(error, statedVersion(world.stdin))}\n`);
    return 1;
  }
}

/** The version the runtime spoke, also when everything else about its input is wrong. */
function statedVersion(stdin: string): string {
  return /"cniVersion"\s*:\s*"([0-9.]+)"/.exec(stdin)?.[1] ?? LATEST_CNI_VERSION;
}

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

function stderrLogger(write: (text: string) => void, minimum: LogLevel, scope: string): Logger {
  const log =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      if (LEVELS.indexOf(level) < LEVELS.indexOf(minimum)) return;
      write(`${JSON.stringify({ time: new Date().toISOString(), level, scope, message, ...fields })}\n`);
    };
  return {
    debug: log("debug"),
    info: log("info"),
    warn: log("warn"),
    error: log("error"),
    scope: (name) => stderrLogger(write, minimum, `${scope}:${name}`),
  };
}

if (import.meta.main) {
  process.exitCode = await runPlugin({
    getenv: (name) => process.env[name],
    stdin: readFileSync(0, "utf8"),
    writeStdout: (text) => void process.stdout.write(text),
    writeStderr: (text) => void process.stderr.write(text),
    connectAgent: createAgentClient,
  });
}
