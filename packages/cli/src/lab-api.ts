// labd's API on the Unix socket of a lab's state directory.
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Dispatcher } from "undici";
import { cliError } from "./errors.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** The same places as the lab's own: AMBIT_LAB_DIR, else the user's runtime directory, else /tmp. */
export function labDirectory(env: Environment): string {
  const chosen = env["AMBIT_LAB_DIR"];
  if (chosen) return chosen;
  const runtime = env["XDG_RUNTIME_DIR"];
  if (runtime && existsSync(runtime)) return join(runtime, "ambit-lab");
  return `/tmp/ambit-lab-${process.getuid?.() ?? 0}`;
}

export function labSocket(env: Environment): string {
  return join(labDirectory(env), "labd.sock");
}

export class LabApi {
  readonly #socketPath: string;
  #agent: Dispatcher | undefined;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  async text(method: "GET" | "POST", path: string, body?: object): Promise<string> {
    return (await this.open(method, path, body)).text();
  }

  async json<T>(method: "GET" | "POST", path: string, body?: object): Promise<T> {
    return JSON.parse(await this.text(method, path, body)) as T;
  }

  /** The answer's body as it comes. @throws CLI_NO_LAB, CLI_NOT_FOUND, CLI_API_FAILED with labd's reason */
  async open(
    method: "GET" | "POST",
    path: string,
    body?: object,
    signal?: AbortSignal,
  ): Promise<Dispatcher.ResponseData["body"]> {
    const { statusCode, body: answer } = await this.#request(method, path, body, signal);
    if (statusCode < 400) return answer;
    const reason = reasonIn(await answer.text());
    throw cliError(statusCode === 404 ? "CLI_NOT_FOUND" : "CLI_API_FAILED", reason || `${path} answered ${statusCode}`);
  }

  async close(): Promise<void> {
    await this.#agent?.close();
  }

  async #request(method: "GET" | "POST", path: string, body: object | undefined, signal: AbortSignal | undefined) {
    // Loaded here: verbs that only ask whether there is a lab start without it.
    const { Agent } = await import("undici");
    this.#agent ??= new Agent({ connect: { socketPath: this.#socketPath }, bodyTimeout: 0 });
    try {
      return await this.#agent.request({
        origin: "http://labd",
        method,
        path,
        ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "ENOENT" && code !== "ECONNREFUSED") throw error;
      throw cliError("CLI_NO_LAB", `No lab answers at ${this.#socketPath}; ambit lab up starts one`, error);
    }
  }
}

/** labd says code and message; pages of proxies are passed through as they are. */
function reasonIn(said: string): string {
  try {
    const { message } = JSON.parse(said) as { readonly message?: unknown };
    if (typeof message === "string") return message;
  } catch {
    return said.trim();
  }
  return said.trim();
}
