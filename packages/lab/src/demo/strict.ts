// Callers without an identity are refused, and the log says why.
import { accessLines, applySample, expectThat, fetchFrom, nodeNames, type Step, waitFor } from "./stage.ts";

const URL = "http://productpage.bookinfo:9080/productpage";

export const strict: Step = {
  title: "STRICT: a client outside the mesh is refused",
  async run(stage) {
    const before = await fetchFrom(stage, "outside", "deploy/client", URL);
    expectThat(before.status === 200, `The outside client was refused before it should be: ${before.text}`);
    stage.say("outside/client → productpage before  200");
    await applySample(stage, "strict");
    const after = await waitFor("The outside client is refused", stage, async () => {
      const answer = await fetchFrom(stage, "outside", "deploy/client", URL);
      return answer.status === 0 ? answer : undefined;
    });
    stage.say(`outside/client → productpage now     refused: ${after.text.replace(/^000 /, "")}`);
    const reason = await waitFor("The proxy says why", stage, async () => {
      for (const node of await nodeNames(stage)) {
        const lines = await accessLines(stage, node);
        const line = lines.find((text) => text.includes('src.namespace="outside"') && text.includes("policy rejection"));
        if (line !== undefined) return `${node}: ${/error="([^"]*)"/.exec(line)?.[1]}`;
      }
      return undefined;
    });
    stage.say(reason);
  },
};
