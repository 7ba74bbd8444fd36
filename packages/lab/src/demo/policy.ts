// One policy: who may, who may not, and which rule decides.
import { ambit, expectThat, fetchFrom, loadCount, loadGoesOn, NAMESPACE, type Stage, type Step, waitFor } from "./stage.ts";

const POLICY = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ratings-viewer, namespace: bookinfo}
spec:
  selector: {matchLabels: {app: ratings}}
  action: ALLOW
  rules:
  - from:
    - source:
        principals: ["cluster.local/ns/bookinfo/sa/bookinfo-reviews"]
    to:
    - operation:
        ports: ["9080"]
`;
const URL = "http://ratings:9080/ratings/0";
const ALLOWED = "deploy/reviews-v2";
const DENIED = "deploy/productpage-v1";
const CALLS = 10;

export const policy: Step = {
  title: "An AuthorizationPolicy: allowed and denied side by side",
  async run(stage) {
    const { client, say } = stage;
    await client.apply({ yaml: POLICY, file: "ratings-viewer.yaml" });
    const denied = await waitFor("The policy denies", stage, async () => {
      const answer = await fetchFrom(stage, NAMESPACE, DENIED, URL);
      return answer.status === 0 ? answer : undefined;
    });
    const allowed = await fetchFrom(stage, NAMESPACE, ALLOWED, URL);
    expectThat(allowed.status === 200, `${ALLOWED} should be allowed and got: ${allowed.text}`);
    say(`${ALLOWED} → svc/ratings       200 ${allowed.text}`);
    say(`${DENIED} → svc/ratings  refused: ${denied.text.replace(/^000 /, "")}`);
    await explained(stage, ALLOWED, 0);
    const output = await explained(stage, DENIED, 3);
    for (const line of output.split("\n")) say(line);
    expectThat(/ratings-viewer/.test(output) && /would be allowed if/.test(output), "explain names neither rule nor near miss");
    // The pages themselves do not need what was forbidden.
    await loadGoesOn(stage, await loadCount(stage), CALLS);
  },
};

async function explained(stage: Stage, from: string, exitCode: number): Promise<string> {
  const args = ["explain", "--from", from, "--to", "svc/ratings", "-n", NAMESPACE];
  const result = await ambit(stage, ...args);
  expectThat(
    result.exitCode === exitCode,
    `ambit ${args.join(" ")} ended with ${result.exitCode} instead of ${exitCode}: ${result.output}`,
  );
  if (exitCode !== 0) stage.say(`$ ambit ${args.join(" ")}`);
  return result.output;
}
