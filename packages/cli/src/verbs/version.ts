// `ambit version`.
import { readFileSync } from "node:fs";
import { EXIT } from "../exit-codes.ts";
import { controlPlaneVersion } from "../mesh-access.ts";
import { parseOutputFormat, renderObject } from "../output.ts";
import { stringOption, type Verb } from "../verb.ts";
import { outputOption } from "./shared-options.ts";

export const verb: Verb = {
  options: { ...outputOption, client: { type: "boolean", help: "Only this command's version; asks nobody" } },
  async run(args, io) {
    const format = parseOutputFormat(stringOption(args, "output"));
    const client = clientVersion();
    const server = args.options["client"] === true ? undefined : await labVersion(io.env);
    const text = `client: ${client}\n${args.options["client"] === true ? "" : `control plane: ${server ?? "not reachable"}\n`}`;
    io.out(await renderObject("Version", { client, controlPlane: server ?? null, runtime: process.version }, text, format));
    return EXIT.ok;
  },
};

function clientVersion(): string {
  const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    readonly version: string;
  };
  return manifest.version;
}

/** undefined when no mesh is found or it does not answer: the client's version is an answer by itself. */
async function labVersion(env: Readonly<Record<string, string | undefined>>): Promise<string | undefined> {
  const { openMesh, hasLab } = await import("../lab-access.ts");
  if (!hasLab(env)) return undefined;
  const access = await openMesh(env);
  try {
    return await controlPlaneVersion(access);
  } finally {
    await access.close();
  }
}
