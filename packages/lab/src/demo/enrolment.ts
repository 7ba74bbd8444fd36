// A label takes running pods into the mesh: same processes, and the load does not notice.
import { expectThat, loadCount, loadGoesOn, NAMESPACE, podsOf, type Step, waitFor } from "./stage.ts";

const CALLS_BEFORE = 5;
const CALLS_AFTER = 20;

export const enrolment: Step = {
  title: "Namespace labelled: running pods enter the mesh",
  async run(stage) {
    const { client, say } = stage;
    const before = await podsOf(stage, NAMESPACE);
    const started = await loadGoesOn(stage, await loadCount(stage), CALLS_BEFORE);
    const startMs = performance.now();
    const patch = { metadata: { labels: { "istio.io/dataplane-mode": "ambient" } } };
    await client.patch({ kind: "Namespace", namespace: "", name: NAMESPACE, patch });
    const after = await waitFor("All pods are enrolled", stage, async () => {
      const pods = await podsOf(stage, NAMESPACE);
      return pods.every((pod) => pod.redirection === "enabled") ? pods : undefined;
    });
    say(`${after.length} of ${after.length} pods enrolled ${Math.round(performance.now() - startMs)} ms after the label`);
    const names = (pods: typeof before) => pods.map((pod) => `${pod.name} ${pod.restarts}`).sort();
    expectThat(names(before).join() === names(after).join(), "Pods were restarted or replaced");
    say("no pod was restarted");
    const { calls, failed } = await loadGoesOn(stage, started, CALLS_AFTER);
    say(`load: ${calls - started.calls} calls meanwhile, ${failed - started.failed} failed`);
  },
};
