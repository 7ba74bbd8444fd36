import assert from "node:assert/strict";
import { test } from "node:test";
import { MetricsRegistry } from "./metrics.ts";

test("MetricsRegistry exposes names exactly as given, in the classic text format", async () => {
  const registry = new MetricsRegistry();
  registry.counter({ name: "pilot_xds_pushes", help: "Pushes.", labels: ["type"] }).inc({ type: "ads" }, 2);
  registry
    .counter({ name: "x_total", help: "X.", labels: ["a"] })
    .series({ a: 'q"uote' })
    .inc();
  registry.observedGauge({ name: "g", help: "G.", labels: [] }, () => [{ labels: {}, value: 7 }]);
  const text = await registry.text();
  assert.match(text, /^pilot_xds_pushes\{type="ads"\} 2$/m);
  assert.match(text, /^x_total\{a="q\\"uote"\} 1$/m);
  assert.match(text, /^g 7$/m);
  assert.match(text, /^# TYPE pilot_xds_pushes counter$/m);
});

test("MetricsRegistry tells of the process without the runtime's internals", async () => {
  const registry = new MetricsRegistry();
  registry.addProcessMetrics();
  const text = await registry.text();
  assert.match(text, /^process_open_fds /m);
  assert.match(text, /^process_resident_memory_bytes /m);
  assert.doesNotMatch(text, /nodejs_/);
});
