// The files of CA_DIR, written so that a crash leaves either the old or the new content.
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Names are those of Istio's `cacerts`; the last three are ours. */
const AUTHORITY_FILES = {
  /** Everybody may trust these: several roots while one is being replaced. */
  roots: "root-cert.pem",
  certificate: "ca-cert.pem",
  key: "ca-key.pem",
  chain: "cert-chain.pem",
  /** Here only when we made the root ourselves. */
  rootKey: "root-key.pem",
  nextRoot: "next-root-cert.pem",
  nextRootKey: "next-root-key.pem",
} as const;

export type AuthorityFile = keyof typeof AUTHORITY_FILES;

const SECRET_FILES: ReadonlySet<AuthorityFile> = new Set(["key", "rootKey", "nextRootKey"]);

export class AuthorityFiles {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  /** Undefined when there is no such file. */
  async read(file: AuthorityFile): Promise<string | undefined> {
    try {
      return await readFile(this.#path(file), "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }

  async write(file: AuthorityFile, content: string): Promise<void> {
    await mkdir(this.directory, { recursive: true });
    const path = this.#path(file);
    const temporary = `${path}.new`;
    // A left-over of a crash would keep its mode.
    await rm(temporary, { force: true });
    await writeFile(temporary, content, { mode: SECRET_FILES.has(file) ? 0o600 : 0o644, flush: true });
    await rename(temporary, path);
  }

  async remove(file: AuthorityFile): Promise<void> {
    await rm(this.#path(file), { force: true });
  }

  #path(file: AuthorityFile): string {
    return join(this.directory, AUTHORITY_FILES[file]);
  }
}
