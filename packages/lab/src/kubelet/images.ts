// Images that the lab can start: programs of this repository, and of the machine.
import { join } from "node:path";
import { labError } from "../errors.ts";
import { REPOSITORY } from "../paths.ts";

/** Name without registry and tag → working directory, which is what the image's WORKDIR would be. */
const WORKING_DIRECTORIES: Readonly<Record<string, string>> = {
  "ambit/bookinfo": join(REPOSITORY, "deploy/samples/bookinfo"),
  /** The machine's own programs: `command` decides. */
  "ambit/machine": "/",
};

/** @throws LAB_IMAGE_UNKNOWN */
export function workingDirectoryOf(image: string): string {
  const name = image.replace(/@.*$/, "").replace(/:[^/:]*$/, "");
  const directory = WORKING_DIRECTORIES[name];
  if (directory !== undefined) return directory;
  const known = Object.keys(WORKING_DIRECTORIES).join(", ");
  throw labError("LAB_IMAGE_UNKNOWN", `The lab cannot start image ${JSON.stringify(image)}: it pulls nothing and knows ${known}`);
}
