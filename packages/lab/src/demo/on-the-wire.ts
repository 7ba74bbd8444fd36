// The same page through the mesh: on the wire there is TLS, and both sides have proved who they are.

import { expectThat, fetchPage, type Step } from "./stage.ts";
import { proveFrom } from "./wire-proof.ts";

export const onTheWire: Step = {
  title: "The same page through the mesh: TLS on the wire, with both identities",
  async run(stage) {
    const { status } = await fetchPage(stage);
    expectThat(status === 200, `The page answers ${status}`);
    const proof = await proveFrom(stage);
    expectThat(!proof.isMarkerReadable, `The request ${proof.request} can be read on the wire`);
    expectThat(proof.isEncrypted, `The request ${proof.request} was not carried over TLS: ${proof.lines.join("; ")}`);
    expectThat(
      proof.clientIdentity !== null && proof.serverIdentity !== null,
      `The handshake of ${proof.request} does not show both identities: ${proof.lines.join("; ")}`,
    );
    stage.say(`http://127.0.0.1:${stage.pagePort}/productpage  200`);
    stage.say(`${proof.request}: its text is nowhere on the wire`);
    for (const line of proof.lines) stage.say(line);
  },
};
