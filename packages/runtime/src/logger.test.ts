import assert from "node:assert/strict";
import { test } from "node:test";
import { BareText, LogOutput, parseLogFilter } from "./logger.ts";

function output(format: "text" | "json", filterText: string) {
  const filter = parseLogFilter(filterText);
  assert.ok(filter);
  const chunks: string[] = [];
  const log = new LogOutput(format, filter, (chunk) => void chunks.push(chunk));
  const read = () => {
    log.flush();
    return chunks.join("");
  };
  return { log, read };
}

test("LogOutput writes tab-separated columns, addresses bare and strings quoted", () => {
  const { log, read } = output("text", "info");
  log.emit("info", "access", "connection complete", {
    "src.addr": new BareText("10.0.0.1:80"),
    error: 'a "b"',
    absent: undefined,
    bytes_sent: 3,
  });
  assert.match(
    read(),
    /^\d{4}-\d\d-\d\dT[\d:.]+Z\tinfo\taccess\tconnection complete\tsrc\.addr=10\.0\.0\.1:80 error="a \\"b\\"" bytes_sent=3\n$/,
  );
});

test("LogOutput leaves out what the filter silences, and follows a changed filter", () => {
  const { log, read } = output("text", "warn,access=debug");
  log.logger("xds").info("hidden");
  log.logger("access").debug("shown");
  const filter = parseLogFilter("off");
  assert.ok(filter);
  log.setFilter(filter);
  log.logger("access").error("silenced");
  assert.equal(read().split("\n").length, 2);
});

test("LogOutput writes JSON lines with errors as their message", () => {
  const { log, read } = output("json", "info");
  log
    .logger("a")
    .scope("b")
    .warn("m", { error: new Error("broken") });
  const line = JSON.parse(read()) as Record<string, unknown>;
  assert.equal(line["scope"], "a:b");
  assert.equal(line["error"], "broken");
});

test("parseLogFilter() refuses what is no level", () => {
  assert.equal(parseLogFilter("loud"), undefined);
  assert.equal(parseLogFilter("info,xds=loud"), undefined);
});
