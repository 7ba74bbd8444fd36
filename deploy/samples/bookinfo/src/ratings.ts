// ratings: stars by reviewer, from memory or (v2) from the shelf; versions whose name starts with v- misbehave on purpose.
import { setTimeout as sleep } from "node:timers/promises";
import { type Answer, type Handler, json, notFound, type Request, runHttp } from "./http-server.ts";
import { readShelf } from "./shelf-client.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const DELAY_MS = 7_000;
const UNAVAILABLE_PERIOD_MS = 60_000;
const UNHEALTHY_PERIOD_MS = 15 * 60_000;
const STORED = { Reviewer1: 5, Reviewer2: 4 };

export interface RatingsWorld {
  /** Between 0 and 1. */
  readonly random: () => number;
  readonly nowMs: () => number;
  readonly sleep: (ms: number) => Promise<unknown>;
}

const realWorld: RatingsWorld = { random: Math.random, nowMs: Date.now, sleep };

export function ratingsHandler(env: Environment, world: RatingsWorld = realWorld): Handler {
  const version = env["SERVICE_VERSION"] ?? "v1";
  const posted = new Map<number, unknown>();
  const startedMs = world.nowMs();
  /** True during every second period since the start, beginning with the second. */
  const inBadPeriod = (periodMs: number) => Math.floor((world.nowMs() - startedMs) / periodMs) % 2 === 1;
  return async (request) => {
    if (request.path === "/health" && request.method === "GET") {
      if (version === "v-unhealthy" && inBadPeriod(UNHEALTHY_PERIOD_MS)) return json(500, { status: "Ratings is not healthy" });
      return json(200, { status: "Ratings is healthy" });
    }
    const id = /^\/ratings\/([^/]+)$/.exec(request.path)?.[1];
    if (id === undefined) return notFound;
    if (!/^-?\d+$/.test(id)) return json(400, { error: "please provide numeric product ID" });
    if (request.method === "POST") return version === "v2" ? notImplemented : store(posted, Number(id), request);
    if (request.method !== "GET") return notFound;
    if (version === "v-unavailable" && inBadPeriod(UNAVAILABLE_PERIOD_MS)) return unavailable;
    if (version === "v-faulty" && world.random() < 0.5) return unavailable;
    if (version === "v-delayed" && world.random() < 0.5) await world.sleep(DELAY_MS);
    if (version === "v2") return fromShelf(Number(id), env);
    return json(200, { id: Number(id), ratings: posted.get(Number(id)) ?? STORED });
  };
}

export const runRatings = (args: readonly string[]) => runHttp("ratings", ratingsHandler(process.env), args);

const unavailable: Answer = json(503, { error: "Service unavailable" });
const notImplemented: Answer = json(501, { error: "Post not implemented for database backed ratings" });

function store(posted: Map<number, unknown>, id: number, { body }: Request): Answer {
  let ratings: unknown;
  try {
    ratings = JSON.parse(body);
  } catch {
    return json(400, { error: "please provide valid ratings JSON" });
  }
  posted.set(id, ratings);
  return json(200, { id, ratings });
}

/** The address comes in the variable that the original uses for its database, as `shelf://host:port`. */
async function fromShelf(id: number, env: Environment): Promise<Answer> {
  const url = new URL(env["MONGO_DB_URL"] || "shelf://shelf:27017");
  try {
    const keys = Object.keys(STORED);
    const values = await readShelf({ host: url.hostname, port: Number(url.port || "27017") }, keys);
    return json(200, { id, ratings: Object.fromEntries(keys.map((key, i) => [key, Number(values[i])])) });
  } catch (error) {
    console.error(`shelf could not be asked: ${String(error)}`);
    return json(500, { error: "could not connect to ratings database" });
  }
}
