import assert from "node:assert/strict";
import { test } from "node:test";
import { addMetricsRoutes, addReadinessRoute, httpServer, listen } from "./http-servers.ts";
import { MetricsRegistry } from "./metrics.ts";
import { Readiness } from "./readiness.ts";

test("the readiness route names what is pending, and the metrics routes answer with the text format", async (t) => {
  const readiness = new Readiness();
  const state = readiness.task("state");
  const server = httpServer();
  t.after(() => server.close());
  addReadinessRoute(server, "/healthz/ready", readiness);
  addMetricsRoutes(server, new MetricsRegistry());
  const base = `http://127.0.0.1:${await listen(server, { host: "127.0.0.1", port: 0 })}`;
  const before = await fetch(`${base}/healthz/ready`);
  assert.equal(before.status, 500);
  assert.match(await before.text(), /pending: state/);
  state.done();
  assert.equal((await fetch(`${base}/healthz/ready`)).status, 200);
  for (const path of ["/metrics", "/stats/prometheus"]) {
    assert.match((await fetch(base + path)).headers.get("content-type") ?? "", /version=0\.0\.4/);
  }
});

test("listen() says which port is taken", async (t) => {
  const first = httpServer();
  const second = httpServer();
  t.after(() => Promise.all([first.close(), second.close()]));
  const port = await listen(first, { host: "127.0.0.1", port: 0 });
  await assert.rejects(listen(second, { host: "127.0.0.1", port }), { code: "RUNTIME_PORT_UNAVAILABLE" });
});
