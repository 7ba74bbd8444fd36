import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { parseIp } from "@ambit/core";
import { AddressSet } from "./address-set.ts";
import { type CommandOptions, type RunCommand, runChecked, runCommand } from "./command.ts";
import type { Netns } from "./netns.ts";
import { createRuleRunner } from "./rule-runner.ts";

async function freshNetns(t: TestContext): Promise<Netns> {
  const name = `linux-rules-${process.pid}-${Math.random().toString(36).slice(2, 8)}`;
  await runChecked(runCommand, "ip", ["netns", "add", name]);
  const fd = openSync(`/run/netns/${name}`, "r");
  const netns: Netns = { id: name, token: { id: name, fd }, close: () => closeSync(fd) };
  t.after(async () => {
    netns.close();
    await runChecked(runCommand, "ip", ["netns", "del", name]);
  });
  return netns;
}

/** Everything this process would do to its own namespace happens in `netns` instead. */
function runningIn(netns: Netns): RunCommand {
  return (program, args, options: CommandOptions = {}) => runCommand(program, args, { netns, ...options });
}

test("runCommand() enters the namespace and returns exit code and output", async (t) => {
  const netns = await freshNetns(t);
  const result = await runCommand("ip", ["-o", "link"], { netns });
  assert.equal(result.exitCode, 0);
  assert.deepEqual(result.stdout.trim().split("\n").length, 1);
});

test("runCommand() throws when the program is not installed, with and without a namespace", async (t) => {
  const netns = await freshNetns(t);
  await assert.rejects(runCommand("no-such-program", []), { code: "LINUX_COMMAND_UNAVAILABLE" });
  await assert.rejects(runCommand("no-such-program", [], { netns }), { code: "LINUX_COMMAND_UNAVAILABLE" });
});

for (const force of ["nft", "legacy"] as const) {
  test(`RuleRunner.restore() and save() agree with the ${force} backend`, async (t) => {
    const netns = await freshNetns(t);
    const runner = await createRuleRunner(runningIn(netns), { force });
    assert.equal(runner.backend, force);
    for (const family of [4, 6] as const) {
      await runner.restore(family, "*nat\n:ISTIO_X - [0:0]\n-A ISTIO_X -p tcp -j REDIRECT --to-ports 15001\nCOMMIT\n", netns);
      assert.deepEqual((await runner.save(family, netns)).get("nat")?.get("ISTIO_X")?.rules, [
        "-p tcp -j REDIRECT --to-ports 15001",
      ]);
    }
    await assert.rejects(runner.restore(4, "*nat\n-A NO_SUCH -j ACCEPT\nCOMMIT\n", netns), { code: "LINUX_COMMAND_FAILED" });
  });
}

test("createRuleRunner() prefers legacy when legacy rules exist, and leaves no trace of its probe", async (t) => {
  const netns = await freshNetns(t);
  const run = runningIn(netns);
  assert.equal((await createRuleRunner(run)).backend, "nft");
  assert.doesNotMatch(await runChecked(run, "iptables-nft-save", []), /PROBE/);
  await runChecked(run, "iptables-legacy", ["-A", "INPUT", "-p", "udp", "-j", "ACCEPT"]);
  assert.equal((await createRuleRunner(run)).backend, "legacy");
});

test("createRuleRunner() says what to install when no iptables works", async () => {
  const absent: RunCommand = (program) => Promise.reject(new Error(`${program} is not installed`));
  await assert.rejects(createRuleRunner(absent), { code: "LINUX_IPTABLES_UNAVAILABLE", message: /install the package iptables/ });
});

test("RuleRunner.save() reads table by table when the list of tables is unreadable", async () => {
  const asked: string[] = [];
  const run: RunCommand = async (program, args) => {
    if (args[0] === "--version") return { exitCode: 0, stdout: "iptables v1.8.9 (legacy)", stderr: "" };
    if (!program.endsWith("-save")) return { exitCode: 0, stdout: "", stderr: "" };
    if (args.length === 0) return { exitCode: 1, stdout: "", stderr: "Failed to list table names in /proc/net/ip_tables_names" };
    asked.push(args.join(" "));
    return { exitCode: 0, stdout: `*${args[1]}\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n`, stderr: "" };
  };
  const saved = await (await createRuleRunner(run, { force: "legacy" })).save(4);
  assert.deepEqual(asked, ["-t raw", "-t mangle", "-t nat", "-t filter"]);
  assert.equal(saved.size, 4);
});

test("AddressSet.remove() leaves an address that has got another owner", async (t) => {
  const set = new AddressSet(runningIn(await freshNetns(t)), "istio-test-v4", 4);
  const ip = parseIp("10.1.2.3");
  assert.ok(ip);
  await set.create();
  await set.create();
  await set.add(ip, "pod-a");
  await set.add(ip, "pod-b");
  assert.deepEqual([...(await set.entries())], [["10.1.2.3", "pod-b"]]);
  assert.equal(await set.remove(ip, "pod-a"), false);
  assert.equal(await set.remove(ip, "pod-b"), true);
  assert.equal(await set.remove(ip, "pod-b"), false);
  await set.destroy();
  await set.destroy();
});

test("AddressSet holds IPv6 addresses in their canonical form", async (t) => {
  const set = new AddressSet(runningIn(await freshNetns(t)), "istio-test-v6", 6);
  const ip = parseIp("fd00:0:0::7");
  assert.ok(ip);
  await set.create();
  await set.add(ip, "pod-a");
  assert.deepEqual([...(await set.entries())], [["fd00::7", "pod-a"]]);
});
