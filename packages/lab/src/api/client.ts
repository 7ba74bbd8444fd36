// labd's API for programs outside of its namespaces.

import { once } from "node:events";
import { request } from "node:http";
import type { Duplex } from "node:stream";
import { MeshError } from "@ambit/core";
import { Agent, type Dispatcher } from "undici";
import { labError, messageOf } from "../errors.ts";
import type {
  ApiProblem,
  AppliedObject,
  ApplyRequest,
  CaptureRequest,
  CaptureResult,
  ComponentRequest,
  ExecEvent,
  ExecRequest,
  KillRequest,
  LabState,
  ObjectName,
  PatchRequest,
  ProveReport,
  ProveRequest,
} from "./contract.ts";
import { TUNNEL_PROTOCOL } from "./tunnel-protocol.ts";

export interface ExecResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CapturedFrames {
  readonly frames: readonly { readonly atMs: number; readonly bytes: Uint8Array }[];
  /** Frames that passed and were lost or cut. */
  readonly dropped: number;
}

const ORIGIN = "http://labd";

export class LabClient {
  readonly #socketPath: string;
  readonly #agent: Agent;

  /** @param socketPath `labd.sock` of a lab's state directory */
  constructor(socketPath: string) {
    this.#socketPath = socketPath;
    this.#agent = new Agent({ connect: { socketPath }, headersTimeout: 0, bodyTimeout: 0 });
  }

  async state(): Promise<LabState> {
    return (await this.#json("GET", "/state")) as LabState;
  }

  /** @throws LAB_OBJECT_REFUSED with file, line and reason; nothing was changed then */
  async apply(manifest: ApplyRequest): Promise<readonly AppliedObject[]> {
    return (await this.#json("POST", "/apply", manifest)) as readonly AppliedObject[];
  }

  /** JSON merge patch of one object. */
  async patch(change: PatchRequest): Promise<void> {
    await this.#text("POST", "/patch", change);
  }

  async delete(object: ObjectName): Promise<void> {
    await this.#text("POST", "/delete", object);
  }

  /** Runs a command in a pod to its end; events as they come. @throws LAB_NOT_FOUND */
  async *execEvents(what: ExecRequest, signal?: AbortSignal): AsyncGenerator<ExecEvent> {
    const { body } = await this.#send("POST", "/exec", what, signal);
    let rest = "";
    body.setEncoding("utf8");
    for await (const chunk of body) {
      const lines = (rest + String(chunk)).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) yield JSON.parse(line) as ExecEvent;
    }
  }

  async exec(what: ExecRequest, signal?: AbortSignal): Promise<ExecResult> {
    const output = { stdout: "", stderr: "" };
    let exitCode: number | undefined;
    for await (const event of this.execEvents(what, signal)) {
      if ("exitCode" in event) exitCode = event.exitCode;
      else output[event.stream] += Buffer.from(event.base64, "base64").toString();
    }
    if (exitCode === undefined) throw labError("LAB_NOT_RUNNING", "The lab ended while a command was running in it");
    return { exitCode, ...output };
  }

  /** One marked request out of a pod, and what it looks like on the wire. @throws LAB_NOT_FOUND, LAB_REQUEST_INVALID, LAB_PROOF_FAILED */
  async prove(request: ProveRequest): Promise<ProveReport> {
    return (await this.#json("POST", "/prove", request)) as ProveReport;
  }

  /** Names of logs: components, `COMPONENT-NODE`, and pods, `NAMESPACE_POD`. */
  async logNames(): Promise<readonly string[]> {
    return (await this.#json("GET", "/logs")) as readonly string[];
  }

  logs(name: string): Promise<string> {
    return this.#text("GET", `/logs/${encodeURIComponent(name)}`);
  }

  async restart(component: ComponentRequest): Promise<void> {
    await this.#text("POST", "/restart", component);
  }

  async kill(component: KillRequest): Promise<void> {
    await this.#text("POST", "/kill", component);
  }

  /** A page of a node proxy's admin port, `/config_dump`. */
  ztunnel(node: string, path: string): Promise<string> {
    return this.#text("GET", `/ztunnel/${encodeURIComponent(node)}${path}`);
  }

  ztunnelMetrics(node: string): Promise<string> {
    return this.#text("GET", `/ztunnel-metrics/${encodeURIComponent(node)}`);
  }

  /** A page of the control plane's HTTP port, `/debug/syncz`. */
  controlPlane(path: string): Promise<string> {
    return this.#text("GET", `/control-plane${path}`);
  }

  /** Frames from now on, until the function that it gives is called. */
  async capture(what: CaptureRequest): Promise<() => Promise<CapturedFrames>> {
    const { id } = (await this.#json("POST", "/capture", what)) as { readonly id: string };
    return async () => {
      const { frames, dropped } = (await this.#json("POST", `/capture/${id}/finish`, {})) as CaptureResult;
      return { frames: frames.map(({ atMs, base64 }) => ({ atMs, bytes: Buffer.from(base64, "base64") })), dropped };
    };
  }

  /** Asks the lab to end; does not wait until it has. */
  async shutDown(): Promise<void> {
    await this.#text("POST", "/shutdown", {});
  }

  /** A connection into a pod, at its loopback. @throws LAB_NOT_FOUND with labd's reason */
  async tunnel(where: { readonly namespace: string; readonly target: string; readonly port: number }): Promise<Duplex> {
    const query = new URLSearchParams({ namespace: where.namespace, target: where.target, port: String(where.port) });
    const sent = request({
      socketPath: this.#socketPath,
      path: `/tunnel?${query}`,
      headers: { connection: "Upgrade", upgrade: TUNNEL_PROTOCOL },
    });
    const refused = new Promise<never>((_resolve, reject) => {
      sent.on("error", (error) => reject(notRunning(this.#socketPath, error)));
      sent.on("response", (response) => {
        let reason = "";
        response.setEncoding("utf8").on("data", (text: string) => {
          reason += text;
        });
        response.on("end", () => reject(labError("LAB_NOT_FOUND", reason.trim())));
      });
    });
    const upgraded = once(sent, "upgrade") as Promise<[unknown, Duplex, Buffer]>;
    sent.end();
    const [, socket, head] = await Promise.race([upgraded, refused]);
    if (head.length > 0) socket.unshift(head);
    return socket;
  }

  async close(): Promise<void> {
    await this.#agent.close();
  }

  async #json(method: "GET" | "POST", path: string, body?: object): Promise<unknown> {
    return JSON.parse(await this.#text(method, path, body));
  }

  async #text(method: "GET" | "POST", path: string, body?: object): Promise<string> {
    return (await this.#send(method, path, body)).body.text();
  }

  async #send(method: "GET" | "POST", path: string, body?: object, signal?: AbortSignal): Promise<Dispatcher.ResponseData> {
    const response = await this.#agent
      .request({
        origin: ORIGIN,
        method,
        path,
        ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
        ...(signal === undefined ? {} : { signal }),
      })
      .catch((error: unknown) => {
        throw notRunning(this.#socketPath, error);
      });
    if (response.statusCode < 400) return response;
    const said = await response.body.text();
    throw problemOf(said, response.statusCode, path);
  }
}

function problemOf(said: string, status: number, path: string): MeshError {
  try {
    const { code, message } = JSON.parse(said) as ApiProblem;
    if (code !== undefined && message !== undefined) return new MeshError(code, message);
  } catch {
    // A page of a proxy or of the control plane, passed through as it was.
  }
  return new MeshError("LAB_REQUEST_INVALID", `${path} answered ${status}: ${said.trim()}`);
}

function notRunning(socketPath: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== "ENOENT" && code !== "ECONNREFUSED") return error;
  return labError("LAB_NOT_RUNNING", `No lab answers at ${socketPath} (${messageOf(error)}); ambit lab up starts one`, error);
}
