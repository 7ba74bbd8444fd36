// Certificates are replaced while they are in use.
import { expectThat, loadCount, loadGoesOn, nodeNames, type Stage, type Step, waitFor } from "./stage.ts";

interface CertificateDump {
  readonly identity: string;
  readonly state: string;
  readonly certChain: readonly { readonly serialNumber: string; readonly expirationTime: string }[];
}

export const certificatesRotate: Step = {
  title: "Certificates rotate under load",
  async run(stage) {
    const before = await serials(stage);
    expectThat(before.size > 0, "No node proxy has a certificate");
    const load = await loadCount(stage);
    const startMs = performance.now();
    const after = await waitFor("Every certificate is renewed", stage, async () => {
      const now = await serials(stage);
      return [...before].every(([key, serial]) => now.has(key) && now.get(key) !== serial) ? now : undefined;
    });
    const [key = "", serial = ""] = [...before][0] ?? [];
    stage.say(
      `${before.size} certificates on ${(await nodeNames(stage)).length} nodes renewed within ${((performance.now() - startMs) / 1000).toFixed(1)} s`,
    );
    stage.say(`for example ${key}: ${serial.slice(0, 12)}… → ${after.get(key)?.slice(0, 12)}…`);
    const { calls, failed } = await loadGoesOn(stage, load, 10);
    stage.say(`load: ${calls - load.calls} calls meanwhile, ${failed - load.failed} failed`);
  },
};

/** Serial number of the leaf by node and identity. */
async function serials({ client }: Stage & object): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const { name } of (await client.state()).nodes) {
    const dump = JSON.parse(await client.ztunnel(name, "/config_dump")) as { readonly certificates: readonly CertificateDump[] };
    for (const { identity, certChain } of dump.certificates) {
      const serial = certChain[0]?.serialNumber;
      if (serial !== undefined) found.set(`${name} ${identity}`, serial);
    }
  }
  return found;
}
