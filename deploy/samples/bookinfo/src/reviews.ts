// reviews: two reviews of a book; v2 and v3 ask ratings for the stars, in black or red.
import { forwardedHeaders } from "./forwarded-headers.ts";
import { callHttp } from "./http-call.ts";
import { type Handler, json, notFound, runHttp } from "./http-server.ts";
import { peerUrl } from "./peers.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** The slow patience of black stars is deliberate: the fault injection tutorials live from the difference. */
const BLACK_TIMEOUT_MS = 10_000;
const OTHER_TIMEOUT_MS = 2_500;

const REVIEWS = [
  { reviewer: "Reviewer1", text: "Two pairs of twins, one town, no patience left in anybody. I laughed through every act." },
  { reviewer: "Reviewer2", text: "Great fun on stage, thin on paper: the jokes carry it, the people in it do not." },
];

export function reviewsHandler(env: Environment): Handler {
  const color = env["STAR_COLOR"] || "black";
  const rated = env["ENABLE_RATINGS"] === "true";
  return async ({ method, path, headers }) => {
    if (method !== "GET") return notFound;
    if (path === "/health") return json(200, { status: "Reviews is healthy" });
    const id = /^\/reviews\/(\d+)$/.exec(path)?.[1];
    if (id === undefined) return notFound;
    const ratings = rated ? await fetchRatings(env, id, forwardedHeaders(headers, ["end-user"]), color) : undefined;
    return json(200, {
      id,
      podname: env["HOSTNAME"] ?? "null",
      clustername: env["CLUSTER_NAME"] ?? "null",
      reviews: REVIEWS.map((review) => ({ ...review, ...ratingOf(review.reviewer, rated, ratings, color) })),
    });
  };
}

export const runReviews = (args: readonly string[]) => runHttp("reviews", reviewsHandler(process.env), args);

function ratingOf(
  reviewer: string,
  rated: boolean,
  ratings: Readonly<Record<string, number>> | undefined,
  color: string,
): Record<string, unknown> {
  if (!rated) return {};
  const stars = ratings?.[reviewer];
  return { rating: stars === undefined ? { error: "Ratings service is currently unavailable" } : { stars, color } };
}

/** Undefined when ratings does not answer properly: the reviews themselves are still worth showing. */
async function fetchRatings(
  env: Environment,
  id: string,
  headers: Record<string, string>,
  color: string,
): Promise<Readonly<Record<string, number>> | undefined> {
  try {
    const timeoutMs = color === "black" ? BLACK_TIMEOUT_MS : OTHER_TIMEOUT_MS;
    const { status, body } = await callHttp(`${peerUrl(env, "ratings")}/ratings/${id}`, { headers, timeoutMs });
    if (status === 200) return (JSON.parse(body) as { ratings?: Record<string, number> }).ratings;
    console.error(`ratings answered ${status}`);
  } catch (error) {
    console.error(`ratings could not be asked: ${String(error)}`);
  }
  return undefined;
}
