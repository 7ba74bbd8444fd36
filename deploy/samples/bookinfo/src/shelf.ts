// shelf: a key-value store over plain TCP, the application's database.
import { type AddressInfo, createServer, type Socket } from "node:net";
import { encodeMessage, MessageReader } from "./frames.ts";
import { parsePort, type RunningServer, terminated } from "./http-server.ts";

interface Command {
  readonly get?: string;
  readonly set?: string;
  readonly value?: string;
}

/** Starts with the stars that ratings v1 knows, so that both versions show the same page. */
const INITIAL: readonly (readonly [string, string])[] = [
  ["Reviewer1", "5"],
  ["Reviewer2", "4"],
];

export async function serveShelf(port: number): Promise<RunningServer> {
  const values = new Map(INITIAL);
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    socket.on("error", (error) => console.error(`connection failed: ${error.message}`));
    const reader = new MessageReader();
    socket.on("data", (chunk: Buffer) => {
      try {
        for (const message of reader.push(chunk)) socket.write(encodeMessage(execute(values, message as Command)));
      } catch (error) {
        socket.destroy(error instanceof Error ? error : undefined);
      }
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, host: "::" }, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}

export async function runShelf(args: readonly string[]): Promise<void> {
  const server = await serveShelf(parsePort(args));
  console.log(`shelf listens on port ${server.port}`);
  await terminated();
  await server.close();
}

function execute(values: Map<string, string>, command: Command): unknown {
  if (typeof command.get === "string") return { value: values.get(command.get) ?? null };
  if (typeof command.set === "string" && typeof command.value === "string") {
    values.set(command.set, command.value);
    return { stored: true };
  }
  return { error: "expected get, or set with value" };
}
