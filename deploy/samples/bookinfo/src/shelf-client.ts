// Reading keys from the shelf over one connection.
import { connect } from "node:net";
import { encodeMessage, MessageReader } from "./frames.ts";

const SHELF_TIMEOUT_MS = 5_000;

/** @returns the values in the order of the keys; rejects when one is missing */
export function readShelf(address: { readonly host: string; readonly port: number }, keys: readonly string[]): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const socket = connect(address);
    const reader = new MessageReader();
    const values: string[] = [];
    socket.setTimeout(SHELF_TIMEOUT_MS, () => socket.destroy(new Error(`no answer within ${SHELF_TIMEOUT_MS} ms`)));
    socket.on("connect", () => {
      for (const key of keys) socket.write(encodeMessage({ get: key }));
    });
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("connection closed before all values came")));
    socket.on("data", (chunk: Buffer) => {
      try {
        for (const message of reader.push(chunk)) {
          const { value } = message as { value?: unknown };
          if (typeof value !== "string") throw new Error(`no value for ${keys[values.length]}`);
          values.push(value);
        }
      } catch (error) {
        socket.destroy(error instanceof Error ? error : new Error(String(error)));
        return;
      }
      if (values.length < keys.length) return;
      resolve(values);
      socket.end();
    });
  });
}
