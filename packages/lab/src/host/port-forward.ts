// A port of the machine's loopback that leads into a pod.
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { LabClient } from "../api/client.ts";
import { joinStreams } from "../join-streams.ts";

export interface ForwardTarget {
  readonly namespace: string;
  /** `svc/NAME` or `pod/NAME`. */
  readonly target: string;
  readonly port: number;
}

export class PortForward {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(client: LabClient, target: ForwardTarget) {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => socket.destroy());
      client.tunnel(target).then(
        (tunnel) => joinStreams(socket, tunnel),
        // The caller sees what a caller of a pod without listener sees.
        () => socket.resetAndDestroy(),
      );
    });
  }

  /** @param port 0 for any that is free. @returns the port that was bound */
  async listen(port: number): Promise<number> {
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
