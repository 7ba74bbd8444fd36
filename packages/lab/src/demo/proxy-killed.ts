// A node's proxy dies without warning: connections are refused, nothing leaves in plaintext, and it is back soon.
import { setTimeout as sleep } from "node:timers/promises";
import { labError } from "../errors.ts";
import { expectThat, fetchFrom, loadCount, loadGoesOn, NAMESPACE, podsOf, type Step, waitFor } from "./stage.ts";
import { watchWire } from "./wire-proof.ts";

const NODE = "node-b";
const BACK_WITHIN_MS = 3_000;

export const proxyKilled: Step = {
  title: `The proxy of ${NODE} is killed`,
  async run(stage) {
    const { client, say } = stage;
    const pods = await podsOf(stage, NAMESPACE);
    const pod = pods.find(({ node, name }) => node === NODE && /^(productpage|reviews)-/.test(name));
    const details = pods.find(({ name }) => name.startsWith("details-"));
    if (pod === undefined || details === undefined) throw labError("LAB_DEMO_FAILED", `No caller of details runs on ${NODE}`);
    // By address: names are answered by the same proxy.
    const url = `http://${details.ips[0]}:9080/details/0`;
    const wire = await watchWire(stage, NODE);
    const attempt = async () => ({
      atMs: performance.now(),
      ...(await fetchFrom(stage, NAMESPACE, `pod/${pod.name}`, `${url}?${wire.marker}`)),
    });
    const killedMs = performance.now();
    await client.kill({ component: "ztunnel", node: NODE, signal: "SIGKILL" });
    const refused = await attempt();
    expectThat(refused.status === 0, `A request went through while ${NODE} had no proxy`);
    say(`${pod.name} → details at ${details.ips[0]}  refused: ${refused.text.replace(/^000 /, "")}`);
    const back = await waitFor("The proxy is back", stage, async () => {
      const answer = await attempt();
      return answer.status === 200 ? answer : undefined;
    });
    const backMs = back.atMs - killedMs;
    say(`back after ${(backMs / 1000).toFixed(1)} s`);
    expectThat(
      backMs <= BACK_WITHIN_MS,
      `The proxy took ${(backMs / 1000).toFixed(1)} s to come back; ${BACK_WITHIN_MS / 1000} s are allowed`,
    );
    const seen = await wire.end();
    expectThat(!seen.isMarkerReadable, "A request was on the wire in plaintext");
    say(`${seen.frames} packets between the nodes meanwhile, none with the request's text`);
    // Calls that were under way when the proxy died have failed, as they must; those from now on do not.
    await sleep(500);
    await loadGoesOn(stage, await loadCount(stage), 10);
    say("load: goes on without failures");
  },
};
