// The public keys that service-account tokens are signed with: a JSON Web Key set in a file, read again when it changes.
import { createPublicKey, type JsonWebKeyInput, type KeyObject } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { type Logger, MeshError } from "@ambit/core";
import { z } from "zod";

export interface TokenKey {
  /** Empty when the set does not name its keys. */
  readonly id: string;
  readonly key: KeyObject;
}

const keySet = z.object({
  keys: z.array(z.looseObject({ kty: z.string(), kid: z.string().optional(), use: z.string().optional() })).min(1),
});

export class TokenKeys {
  readonly #file: string;
  readonly #logger: Logger;
  #keys: readonly TokenKey[] = [];
  #stamp = "";

  constructor(file: string, logger: Logger) {
    this.#file = file;
    this.#logger = logger;
  }

  /** The keys of the moment. A file that went bad leaves the last good keys in force. @throws ISTIOD_TOKEN_KEYS_UNREADABLE when there were none */
  async read(): Promise<readonly TokenKey[]> {
    try {
      const { mtimeMs, size, ino } = await stat(this.#file);
      const stamp = `${mtimeMs}/${size}/${ino}`;
      if (stamp !== this.#stamp) {
        this.#keys = parseKeys(await readFile(this.#file, "utf8"));
        this.#stamp = stamp;
      }
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const message = `TOKEN_KEYS_FILE ${this.#file} cannot be used: ${reason}`;
      if (this.#keys.length === 0) throw new MeshError("ISTIOD_TOKEN_KEYS_UNREADABLE", message, { cause });
      this.#logger.error("Token keys cannot be read, the last good ones stay in force", { file: this.#file, reason });
    }
    return this.#keys;
  }
}

function parseKeys(text: string): TokenKey[] {
  return keySet.parse(JSON.parse(text)).keys.map((jwk) => {
    const key = createPublicKey({ key: jwk as JsonWebKeyInput["key"], format: "jwk" });
    return { id: jwk.kid ?? "", key };
  });
}
