// Changes objects in a watched directory, in place of an API server.
import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { MeshError } from "@ambit/core";
import { type Document, parseAllDocuments, stringify } from "yaml";
import type { ObjectRef, ObjectWriter } from "./contract.ts";
import { decodeObject, formatPath, formatRef, refOf } from "./decode.ts";
import { withDirectoryLock } from "./directory-lock.ts";
import { mergePatch } from "./merge-patch.ts";

type RawObject = Record<string, unknown>;

interface Found {
  readonly file: string;
  readonly documents: readonly Document[];
  readonly index: number;
  readonly object: RawObject;
}

export class DirectoryWriter implements ObjectWriter {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async apply(object: RawObject): Promise<void> {
    const ref = validRef(object);
    await withDirectoryLock(this.#directory, async () => {
      const found = await this.#find(ref);
      if (found === undefined) await writeAtomically(this.#ownFile(ref), stringify(object));
      else await replace(found, keepingOthersFields(object, found.object));
    });
  }

  async patch(ref: ObjectRef, patch: RawObject): Promise<void> {
    await withDirectoryLock(this.#directory, async () => {
      const found = await this.#find(ref);
      if (found === undefined) throw new MeshError("KUBE_NOT_FOUND", `${formatRef(ref)} does not exist`);
      const patched = mergePatch(found.object, patch) as RawObject;
      validRef(patched);
      await replace(found, patched);
    });
  }

  async delete(ref: ObjectRef): Promise<void> {
    await withDirectoryLock(this.#directory, async () => {
      const found = await this.#find(ref);
      if (found === undefined) return;
      const rest = found.documents.filter((_, i) => i !== found.index);
      if (rest.every((document) => document.contents === null)) await rm(found.file, { force: true });
      else await writeAtomically(found.file, textOf(rest));
    });
  }

  #ownFile({ kind, namespace, name }: ObjectRef): string {
    return join(this.#directory, kind.toLowerCase(), `${namespace === "" ? name : `${namespace}_${name}`}.yaml`);
  }

  /** Our own file first, since most objects are there; then every other file in the order of names, as the source reads them. */
  async #find(ref: ObjectRef): Promise<Found | undefined> {
    const own = this.#ownFile(ref);
    const inOwn = await findIn(own, ref);
    if (inOwn !== undefined) return inOwn;
    const entries = await readdir(this.#directory, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile() && /\.(ya?ml|json)$/.test(entry.name) && !entry.name.startsWith("."));
    for (const file of files.map((entry) => join(entry.parentPath, entry.name)).sort()) {
      if (file === own) continue;
      const found = await findIn(file, ref);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

async function findIn(file: string, ref: ObjectRef): Promise<Found | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  if (!text.includes(ref.name)) return undefined;
  const parsed = parseAllDocuments(text);
  const documents: readonly Document[] = Array.isArray(parsed) ? parsed : [];
  for (const [index, document] of documents.entries()) {
    if (document.errors.length > 0) continue;
    const value: unknown = document.toJS();
    if (typeof value !== "object" || value === null) continue;
    const other = refOf(value);
    if (other !== undefined && formatRef(other) === formatRef(ref)) return { file, documents, index, object: value as RawObject };
  }
  return undefined;
}

/** @throws KUBE_OBJECT_INVALID with path and reason */
function validRef(object: RawObject): ObjectRef {
  const decoded = decodeObject(object);
  if (decoded.kind === "refused") {
    const name = decoded.ref === undefined ? "The object" : formatRef(decoded.ref);
    throw new MeshError("KUBE_OBJECT_INVALID", `${name}: ${formatPath(decoded.path)} ${decoded.reason}`);
  }
  if (decoded.kind === "ignored") return decoded.ref;
  const { kind, metadata } = decoded.object;
  return { kind, namespace: metadata.namespace, name: metadata.name };
}

/** What controllers wrote stays when a user applies a manifest again: status, and annotations that the manifest does not mention. */
function keepingOthersFields(object: RawObject, previous: RawObject): RawObject {
  const merged: RawObject = { ...object };
  if (!("status" in object) && previous["status"] !== undefined) merged["status"] = previous["status"];
  const metadata = object["metadata"] as RawObject;
  const before = (previous["metadata"] as RawObject | undefined) ?? {};
  const annotations = {
    ...(before["annotations"] as RawObject | undefined),
    ...(metadata["annotations"] as RawObject | undefined),
  };
  const uid = metadata["uid"] ?? before["uid"];
  const creationTimestamp = metadata["creationTimestamp"] ?? before["creationTimestamp"];
  merged["metadata"] = {
    ...metadata,
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    ...(uid === undefined ? {} : { uid }),
    ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
  };
  return merged;
}

async function replace(found: Found, object: RawObject): Promise<void> {
  const document = found.documents[found.index];
  if (document === undefined) throw new RangeError(`Document ${found.index} of ${found.file} has gone`);
  document.contents = document.createNode(object) as Document["contents"];
  await writeAtomically(found.file, textOf(found.documents));
}

function textOf(documents: readonly Document[]): string {
  return documents.map((document) => document.toString({ directives: false }).replace(/^---\n/, "")).join("---\n");
}

/** Written beside the file and renamed over it: readers see the old or the new text, never a part. */
async function writeAtomically(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const temporary = join(dirname(file), `.${randomBytes(6).toString("hex")}.tmp`);
  await writeFile(temporary, text);
  await rename(temporary, file);
}
