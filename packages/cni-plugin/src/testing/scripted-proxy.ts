// For tests: a node proxy on the agent's socket that does what the test says.
import assert from "node:assert/strict";
import { decodeZdsRequest, encodeZdsAck, encodeZdsHello, type ZdsRequest } from "@ambit/api";
import type { FdChannel } from "@ambit/linux";

/** What a node proxy sees of one packet; the namespace is closed already. */
export type SeenRequest = ZdsRequest & { readonly netnsId: string | undefined };

/** A node proxy that does what the test says. */
export class ScriptedProxy {
  readonly channel: FdChannel;

  constructor(channel: FdChannel) {
    this.channel = channel;
  }

  hello(): Promise<void> {
    return this.channel.send(encodeZdsHello());
  }

  /** Says hello and acknowledges whatever comes, until the agent closes; gives the requests as they come. */
  async acknowledgeAll(seen: SeenRequest[]): Promise<void> {
    await this.hello();
    for (let request = await this.read(); request !== undefined; request = await this.read()) {
      seen.push(request);
      await this.ack();
    }
  }

  /** The next request, not acknowledged; undefined when the agent has closed. */
  async read(): Promise<SeenRequest | undefined> {
    const packet = await this.channel.receive();
    if (packet === undefined) return undefined;
    packet.netns?.close();
    return { ...decodeZdsRequest(packet.data), netnsId: packet.netns?.id };
  }

  ack(error = ""): Promise<void> {
    return this.channel.send(encodeZdsAck(error));
  }

  /** Reads and acknowledges requests up to and including SnapshotSent. */
  async takeSnapshot(): Promise<SeenRequest[]> {
    const seen: SeenRequest[] = [];
    for (;;) {
      const request = await this.read();
      assert.ok(request);
      await this.ack();
      if (request.kind === "snapshotSent") return seen;
      seen.push(request);
    }
  }
}
