// A change that a controller wants, and how all of them are carried out.
import { setTimeout as sleep } from "node:timers/promises";
import { type KubeObject, type ObjectRef, type ObjectSource, type ObjectWriter, refOf } from "@ambit/kube";
import { labError } from "../errors.ts";

export type Write =
  | { readonly type: "apply"; readonly object: Record<string, unknown> }
  | {
      readonly type: "patch";
      readonly ref: ObjectRef;
      readonly patch: Record<string, unknown>;
      /** Waited for: the source shows that it has been carried out. Absent for changes that may be made twice. */
      readonly isDone?: ((object: KubeObject) => boolean) | undefined;
    }
  | { readonly type: "delete"; readonly ref: ObjectRef };

const VISIBLE_WITHIN_MS = 10_000;
const LOOK_AGAIN_MS = 5;

/**
 * Carries the writes out and waits until the source shows them: a controller that looked at it before would make objects
 * twice, or decide anew what is decided.
 * @throws LAB_TIMED_OUT when the source does not show them
 */
export async function carryOut(writes: readonly Write[], writer: ObjectWriter, source: ObjectSource): Promise<void> {
  const shown: (() => boolean)[] = [];
  const find = ({ kind, namespace, name }: ObjectRef): KubeObject | undefined => source.get(kind, namespace, name);
  for (const write of writes) {
    if (write.type === "apply") {
      await writer.apply(write.object);
      const ref = refOf(write.object);
      if (ref !== undefined) shown.push(() => find(ref) !== undefined);
    } else if (write.type === "delete") {
      await writer.delete(write.ref);
      shown.push(() => find(write.ref) === undefined);
    } else if (await patchIfThere(writer, write.ref, write.patch)) {
      shown.push(() => {
        const object = find(write.ref);
        return object === undefined || write.isDone === undefined || write.isDone(object);
      });
    }
  }
  for (const deadline = Date.now() + VISIBLE_WITHIN_MS; !shown.every((isShown) => isShown()); await sleep(LOOK_AGAIN_MS))
    if (Date.now() > deadline) throw labError("LAB_TIMED_OUT", "The watched directory does not show what was written into it");
}

/** Somebody may have deleted the object since the controller looked. */
export async function patchIfThere(writer: ObjectWriter, ref: ObjectRef, patch: Record<string, unknown>): Promise<boolean> {
  try {
    await writer.patch(ref, patch);
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code === "KUBE_NOT_FOUND") return false;
    throw error;
  }
}
