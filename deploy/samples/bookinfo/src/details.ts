// details: facts about one book, fixed ones or those of a public book API.
import { get as getHttp } from "node:http";
import { get as getHttps } from "node:https";
import { forwardedHeaders } from "./forwarded-headers.ts";
import { type Answer, type Handler, json, notFound, runHttp } from "./http-server.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export function detailsHandler(env: Environment): Handler {
  const external = env["ENABLE_EXTERNAL_BOOK_SERVICE"] === "true";
  return async ({ method, path, headers }) => {
    if (method !== "GET") return notFound;
    if (path === "/health") return json(200, { status: "Details is healthy" });
    const id = /^\/details\/([^/]+)$/.exec(path)?.[1];
    if (id === undefined) return notFound;
    if (!/^-?\d+$/.test(id)) return json(400, { error: "please provide numeric product id" });
    if (!external) return json(200, fixedDetails(Number(id)));
    return externalDetails(Number(id), forwardedHeaders(headers, ["end-user"]), env["DO_NOT_ENCRYPT"] === "true");
  };
}

export const runDetails = (args: readonly string[]) => runHttp("details", detailsHandler(process.env), args);

function fixedDetails(id: number): Record<string, unknown> {
  return {
    id,
    author: "William Shakespeare",
    year: 1595,
    type: "paperback",
    pages: 200,
    publisher: "PublisherA",
    language: "English",
    "ISBN-10": "1234567890",
    "ISBN-13": "123-1234567890",
  };
}

interface Volume {
  readonly authors?: readonly string[];
  readonly publishedDate?: string;
  readonly printType?: string;
  readonly pageCount?: number;
  readonly publisher?: string;
  readonly language?: string;
  readonly industryIdentifiers?: readonly { readonly type: string; readonly identifier: string }[];
}

const BOOK_ISBN = "0486424618";

async function externalDetails(id: number, headers: Record<string, string>, plaintext: boolean): Promise<Answer> {
  const text = await fetchVolumes(headers, plaintext);
  const volume = (JSON.parse(text) as { items?: readonly { volumeInfo?: Volume }[] }).items?.[0]?.volumeInfo;
  if (volume === undefined) return json(502, { error: "the book API knows no such book" });
  const isbn = (type: string) => volume.industryIdentifiers?.find((entry) => entry.type === type)?.identifier;
  return json(200, {
    id,
    author: volume.authors?.[0],
    year: volume.publishedDate,
    type: volume.printType === "BOOK" ? "paperback" : "unknown",
    pages: volume.pageCount,
    publisher: volume.publisher,
    language: volume.language === "en" ? "English" : "unknown",
    "ISBN-10": isbn("ISBN_10"),
    "ISBN-13": isbn("ISBN_13"),
  });
}

/** Plain HTTP leaves the encryption to the mesh's egress. */
function fetchVolumes(headers: Record<string, string>, plaintext: boolean): Promise<string> {
  const path = `/books/v1/volumes?q=isbn:${BOOK_ISBN}`;
  const options = { host: "www.googleapis.com", path, headers, agent: false as const, signal: AbortSignal.timeout(5_000) };
  return new Promise((resolve, reject) => {
    (plaintext ? getHttp : getHttps)(options, (incoming) => {
      let text = "";
      incoming.setEncoding("utf8");
      incoming.on("data", (chunk: string) => {
        text += chunk;
      });
      incoming.on("end", () => resolve(text));
      incoming.on("error", reject);
    }).on("error", reject);
  });
}
