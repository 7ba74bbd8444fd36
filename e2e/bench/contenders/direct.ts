// No proxy at all: the ceiling of the machine.
import type { Contender } from "../contender.ts";
import { BULK_PORT, HTTP_PORT, SERVER_IP } from "../rig.ts";

export const direct: Contender = {
  name: "direct",
  async start(rig) {
    const pair = await rig.pair("direct");
    return {
      target: {
        clientNetns: pair.client,
        httpUrl: `http://${SERVER_IP}:${HTTP_PORT}/`,
        bulk: { host: SERVER_IP, port: BULK_PORT },
      },
      pids: () => [],
      stop: async () => {},
    };
  },
};
