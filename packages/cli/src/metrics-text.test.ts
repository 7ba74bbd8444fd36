import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMetrics } from "./metrics-text.ts";

test("parseMetrics() reads names, labels with escapes, and values", () => {
  const text = '# HELP a b\n# TYPE a counter\na_total{x="1",y="q\\"uote\\\\"} 3\nb 0.5\n\nbroken{\n';
  assert.deepEqual(parseMetrics(text), [
    { name: "a_total", labels: { x: "1", y: 'q"uote\\' }, value: 3 },
    { name: "b", labels: {}, value: 0.5 },
  ]);
});
