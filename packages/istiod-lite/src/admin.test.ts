import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { realClock, silentLogger } from "@ambit/core";
import { MetricsRegistry, Readiness } from "@ambit/runtime";
import { createAdminServer } from "./admin.ts";
import { AmbientIndex } from "./ambient-index.ts";
import { Authenticator } from "./ca/authenticate.ts";
import { TokenKeys } from "./ca/token-keys.ts";
import { createIstiodMetrics } from "./metrics.ts";
import { MemorySource } from "./testing/memory-source.ts";
import { meshSettings } from "./testing/settings.ts";
import { TokenIssuer } from "./testing/tokens.ts";
import { DiscoveryService } from "./xds/discovery-service.ts";

test("createAdminServer() shows debug pages to this machine and to system accounts only", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "admin-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const issuer = new TokenIssuer();
  writeFileSync(join(directory, "keys.json"), issuer.keySet);
  const keys = new TokenKeys(join(directory, "keys.json"), silentLogger);
  const authenticator = new Authenticator(keys, realClock, {
    trustDomain: "cluster.local",
    audiences: ["istio-ca"],
    issuer: undefined,
  });
  const source = new MemorySource();
  const index = new AmbientIndex(source, meshSettings());
  index.start();
  const registry = new MetricsRegistry();
  const metrics = createIstiodMetrics(registry).discovery;
  const discovery = new DiscoveryService({ index, clock: realClock, logger: silentLogger, metrics }, { quietMs: 1, maxMs: 1 });
  const server = createAdminServer({
    ...{ registry, index, discovery, source, authenticator, readiness: new Readiness(), version: "1" },
    systemNamespaces: new Set(["istio-system"]),
  });
  t.after(() => server.close());
  const status = async (url: string, remoteAddress: string, token?: string) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    return (await server.inject({ url, remoteAddress, headers })).statusCode;
  };
  assert.equal(await status("/debug/syncz", "127.0.0.1"), 200);
  assert.equal(await status("/debug/syncz", "192.0.2.1"), 401);
  assert.equal(await status("/%64ebug/syncz", "192.0.2.1"), 401);
  assert.equal(await status("/debug/syncz", "192.0.2.1", issuer.token({ namespace: "istio-system" })), 200);
  assert.equal(await status("/debug/syncz", "192.0.2.1", issuer.token({ namespace: "bookinfo" })), 401);
  assert.equal(await status("/metrics", "192.0.2.1"), 200);
});
