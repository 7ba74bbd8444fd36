import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { labPaths, PROGRAMS } from "../paths.ts";
import { Lab } from "./lab.ts";
import { isAlive, type ProcessIdentity } from "./process-identity.ts";

async function startedHost(t: TestContext) {
  const parent = mkdtempSync(join(tmpdir(), "lab-"));
  t.after(() => rmSync(parent, { recursive: true }));
  const paths = labPaths(join(parent, "lab"));
  const env = { ...process.env, AMBIT_LAB_DIR: paths.root };
  const host = spawn(process.execPath, [PROGRAMS.lab, "host", "--no-mesh", "--page-port", "0"], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => host.kill("SIGKILL"));
  assert.match(String((await once(host.stdout, "data"))[0]), /lab is up/);
  const holder = JSON.parse(readFileSync(paths.holder, "utf8")) as ProcessIdentity;
  return { paths, host, holder, env };
}

const down = async (env: NodeJS.ProcessEnv) => {
  const [code] = (await once(spawn(process.execPath, [PROGRAMS.lab, "down"], { env, stdio: "ignore" }), "exit")) as [number];
  return code;
};

test("a lab whose host was killed ends by itself, and the next one starts in its directory", async (t) => {
  const { paths, host, holder } = await startedHost(t);
  host.kill("SIGKILL");
  await once(host, "exit");
  const lab = await Lab.start({ directory: paths.root, mesh: false });
  t.after(() => lab.stop());
  assert.equal(isAlive(holder), false);
  assert.equal((await lab.client.state()).nodes.length, 2);
});

test("down clears up after a killed host, and says when there is nothing", async (t) => {
  const { paths, host, holder, env } = await startedHost(t);
  host.kill("SIGKILL");
  await once(host, "exit");
  assert.equal(await down(env), 0);
  assert.deepEqual([isAlive(holder), existsSync(paths.root)], [false, false]);
  assert.equal(await down(env), 1);
});

test("a host whose namespaces were killed clears up and ends", async (t) => {
  const { paths, host, holder } = await startedHost(t);
  process.kill(holder.pid, "SIGKILL");
  await once(host, "exit");
  assert.equal(existsSync(paths.root), false);
});
