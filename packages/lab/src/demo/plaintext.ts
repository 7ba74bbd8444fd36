// Bookinfo before the mesh: it answers, and everybody on the wire can read along.

import { applySample, expectThat, fetchPage, NAMESPACE, type Step, waitFor, waitUntilReady } from "./stage.ts";
import { proveFrom } from "./wire-proof.ts";

const BOOKINFO_PODS = 7;

export const plaintext: Step = {
  title: "Bookinfo without the mesh, in plaintext",
  async run(stage) {
    for (const name of ["bookinfo", "traffic", "outside"]) await applySample(stage, name);
    const pods = await waitUntilReady(stage, NAMESPACE, BOOKINFO_PODS);
    await waitUntilReady(stage, "outside", 1);
    for (const { name, node, ips } of pods) stage.say(`${name.padEnd(28)} ${node}  ${ips.join(" ")}`);
    const page = await waitFor("The page answers", stage, async () => {
      const answer = await fetchPage(stage);
      return answer.status === 200 ? answer : undefined;
    });
    const title = /<title>([^<]*)<\/title>/.exec(page.body)?.[1]?.trim();
    stage.say(`http://127.0.0.1:${stage.pagePort}/productpage  200  "${title}", ${page.body.length} bytes`);
    const proof = await proveFrom(stage);
    expectThat(proof.isMarkerReadable, `The request ${proof.request} was not seen on the wire in plaintext`);
    stage.say(`${proof.request}: captured between the nodes, its text is readable by anybody`);
  },
};
