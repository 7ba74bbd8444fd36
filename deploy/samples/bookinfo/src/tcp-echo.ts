// tcp-echo: answers every line with a prefix before it, on one or several ports.
import { createServer, type Server } from "node:net";
import { createInterface } from "node:readline";
import { terminated } from "./http-server.ts";

/** `tcp-echo 9000,9001 one`: as the original takes ports and prefix. */
export async function runTcpEcho([ports = "9000", prefix = "hello"]: readonly string[]): Promise<void> {
  const servers = await Promise.all(ports.split(",").map((port) => serveTcpEcho(Number(port), prefix)));
  console.log(`tcp-echo listens on ${ports} and answers with "${prefix} "`);
  await terminated();
  for (const server of servers) server.close();
}

export function serveTcpEcho(port: number, prefix: string): Promise<Server> {
  const server = createServer((socket) => {
    socket.on("error", (error) => console.error(`connection failed: ${error.message}`));
    createInterface({ input: socket }).on("line", (line) => socket.write(`${prefix} ${line}\n`));
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, host: "::" }, () => resolve(server));
  });
}
