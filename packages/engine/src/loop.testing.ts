// An engine beside node:test: started, driven and closed with the test.
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { IpAddress } from "@ambit/core";
import type { DialResult, TcpConnection } from "./contract.ts";
import { driveEngine } from "./drive-engine.ts";
import { createEngine, type EngineLoop } from "./engine.ts";

export const LOOPBACK = "127.0.0.1" as IpAddress;

export function startEngine(t: TestContext): EngineLoop {
  const engine = createEngine();
  const driver = driveEngine(engine);
  t.after(() => driver.close());
  return engine;
}

export function dialResult(engine: EngineLoop, port: number, timeoutMs = 5_000): Promise<DialResult> {
  return new Promise((resolve) => {
    engine.dialTcp({ netns: undefined, remote: { ip: LOOPBACK, port }, timeoutMs }, resolve);
  });
}

export async function dial(engine: EngineLoop, port: number): Promise<TcpConnection> {
  const result = await dialResult(engine, port);
  assert.ok(result.kind === "connected", result.kind === "failed" ? result.error.message : "");
  return result.connection;
}
