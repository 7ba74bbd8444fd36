// productpage: the front of the application; asks details and reviews and shows both.
import { randomBytes } from "node:crypto";
import { forwardedHeaders } from "./forwarded-headers.ts";
import { callHttp } from "./http-call.ts";
import { type Answer, type Handler, html, json, notFound, type Request, runHttp } from "./http-server.ts";
import { peerUrl } from "./peers.ts";
import { indexPage, type Part, PRODUCT, partOf, productPage, STYLE } from "./productpage-html.ts";
import { RequestCounter } from "./request-counter.ts";
import { Sessions } from "./session.ts";

type Environment = Readonly<Record<string, string | undefined>>;
type Headers = Record<string, string>;

const PEER_TIMEOUT_MS = 3_000;
/** One try too many for a service that is slow: a deliberate fault, which the fault injection tutorial finds. */
const REVIEWS_TRIES = 2;

export function productpageHandler(env: Environment): Handler {
  const sessions = new Sessions(randomBytes(32));
  const counter = new RequestCounter();
  const floodFactor = Number(env["FLOOD_FACTOR"] ?? "0") || 0;

  const ask = async (app: string, path: string, headers: Headers): Promise<Part> => {
    try {
      const result = await callHttp(`${peerUrl(env, app)}${path}`, { headers, timeoutMs: PEER_TIMEOUT_MS });
      counter.count(app, result.status);
      if (result.status === 200) return partOf(result);
      return { status: result.status, value: unavailable(app) };
    } catch (error) {
      console.error(`${app} could not be asked: ${error instanceof Error ? error.message : String(error)}`);
      counter.count(app, 500);
      return { status: 500, value: unavailable(app) };
    }
  };
  const askReviews = async (id: number, headers: Headers): Promise<Part> => {
    let last: Part = { status: 500, value: unavailable("reviews") };
    for (let i = 0; i < REVIEWS_TRIES && (i === 0 || last.status !== 200); i++)
      last = await ask("reviews", `/reviews/${id}`, headers);
    return last.status === 200 ? last : { status: 500, value: last.value };
  };
  /** The signed-in user goes along as `end-user`; what the client itself claims under that name does not. */
  const outgoing = (request: Request): Headers => {
    const user = sessions.userOf(request.headers["cookie"]);
    return { ...forwardedHeaders(request.headers), ...(user === undefined ? {} : { "end-user": user }) };
  };

  const page = async (request: Request): Promise<Answer> => {
    const headers = outgoing(request);
    const details = await ask("details", `/details/${PRODUCT.id}`, headers);
    for (let i = 0; i < floodFactor; i++) void ask("reviews", `/reviews/${PRODUCT.id}`, headers);
    const reviews = await askReviews(PRODUCT.id, headers);
    return html(productPage(sessions.userOf(request.headers["cookie"]), details, reviews));
  };

  const api = async (request: Request): Promise<Answer> => {
    if (request.path === "/api/v1/products") return json(200, [PRODUCT]);
    const match = /^\/api\/v1\/products\/(\d+)(?:\/(reviews|ratings))?$/.exec(request.path);
    if (match === null) return notFound;
    const id = Number(match[1]);
    const headers = outgoing(request);
    const part =
      match[2] === "reviews"
        ? await askReviews(id, headers)
        : await ask(match[2] ?? "details", `/${match[2] ?? "details"}/${id}`, headers);
    return json(part.status, part.value);
  };

  const back = (request: Request, cookie: string): Answer => ({
    status: 302,
    body: "",
    headers: { location: request.headers["referer"] ?? "/productpage", "set-cookie": cookie },
  });

  return async (request) => {
    const { method, path } = request;
    if (method === "POST") {
      if (path !== "/login") return notFound;
      return back(request, sessions.signIn(new URLSearchParams(request.body).get("username") ?? ""));
    }
    if (method !== "GET") return notFound;
    if (path === "/productpage") return page(request);
    if (path.startsWith("/api/")) return api(request);
    switch (path) {
      case "/":
      case "/index.html":
        return html(indexPage(serviceTree(env)));
      case "/health":
        return { status: 200, body: "Product page is healthy", contentType: "text/plain" };
      case "/metrics":
        return { status: 200, body: counter.text(), contentType: "text/plain; version=0.0.4; charset=utf-8" };
      case "/logout":
        return back(request, sessions.signOut());
      case "/static/bookinfo.css":
        return { status: 200, body: STYLE, contentType: "text/css" };
      default:
        return notFound;
    }
  };
}

export const runProductpage = (args: readonly string[]) => runHttp("productpage", productpageHandler(process.env), args);

function unavailable(app: string): Record<string, string> {
  return { error: `Sorry, product ${app} are currently unavailable for this book.` };
}

function serviceTree(env: Environment): { name: string; url: string; children: { name: string; url: string }[] } {
  const children = ["details", "reviews", "ratings"].map((name) => ({ name, url: peerUrl(env, name) }));
  return { name: "productpage", url: "/productpage", children };
}
