import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { detailsHandler } from "./details.ts";
import { callHttp } from "./http-call.ts";
import { type Handler, type Request, serveHttp } from "./http-server.ts";
import { productpageHandler } from "./productpage.ts";
import { ratingsHandler } from "./ratings.ts";
import { reviewsHandler } from "./reviews.ts";
import { serveShelf } from "./shelf.ts";

async function serve(t: TestContext, handler: Handler): Promise<string> {
  const server = await serveHttp(handler, 0, "127.0.0.1");
  t.after(() => server.close());
  return String(server.port);
}

const request = (over: Partial<Request>): Request => ({
  method: "GET",
  path: "/",
  query: new URLSearchParams(),
  headers: {},
  body: "",
  ...over,
});

const HOSTS = { DETAILS_HOSTNAME: "127.0.0.1", REVIEWS_HOSTNAME: "127.0.0.1", RATINGS_HOSTNAME: "127.0.0.1" };

interface Application {
  readonly page: string;
  readonly env: Record<string, string>;
}

async function application(
  t: TestContext,
  reviews: Record<string, string>,
  ratings: Record<string, string> = {},
): Promise<Application> {
  const env: Record<string, string> = { ...HOSTS };
  env["RATINGS_SERVICE_PORT"] = await serve(
    t,
    ratingsHandler(ratings, { random: () => 0, nowMs: () => 0, sleep: async () => undefined }),
  );
  env["REVIEWS_SERVICE_PORT"] = await serve(t, reviewsHandler({ ...env, HOSTNAME: "reviews-v9-abc", ...reviews }));
  env["DETAILS_SERVICE_PORT"] = await serve(t, detailsHandler({}));
  const port = await serve(t, productpageHandler(env));
  return { page: `http://127.0.0.1:${port}`, env };
}

test("productpage shows title, details, reviews and the pod that served them", async (t) => {
  const { page } = await application(t, {});
  const { status, body } = await callHttp(`${page}/productpage`, { timeoutMs: 5_000 });
  assert.equal(status, 200);
  for (const marker of [
    "<title>Simple Bookstore App</title>",
    "BookInfo Sample",
    "Book Details",
    "Book Reviews",
    "Reviews served by:",
    "reviews-v9-abc",
  ]) {
    assert.ok(body.includes(marker), `${marker} is missing`);
  }
  assert.ok(!body.includes("glyphicon-star"));
});

test("productpage shows black or red stars as the version of reviews says", async (t) => {
  for (const color of ["black", "red"]) {
    const { page } = await application(t, { ENABLE_RATINGS: "true", STAR_COLOR: color });
    const { body } = await callHttp(`${page}/productpage`, { timeoutMs: 5_000 });
    assert.ok(body.includes(`text-${color}-500`));
    assert.equal(body.split('id="glyphicon glyphicon-star"').length - 1, 9);
  }
});

test("productpage says which part is missing when a service is gone, and still answers", async (t) => {
  const { page } = await application(t, { ENABLE_RATINGS: "true" }, { SERVICE_VERSION: "v-faulty" });
  const faulty = await callHttp(`${page}/productpage`, { timeoutMs: 5_000 });
  assert.equal(faulty.body.split("Ratings service is currently unavailable").length - 1, 2);
  const port = await serve(t, productpageHandler({ ...HOSTS, DETAILS_SERVICE_PORT: "1", REVIEWS_SERVICE_PORT: "1" }));
  const { status, body } = await callHttp(`http://127.0.0.1:${port}/productpage`, { timeoutMs: 5_000 });
  assert.equal(status, 200);
  assert.match(body, /Error fetching product details[\s\S]*Sorry, product details are currently unavailable for this book\./);
  assert.match(body, /Error fetching product reviews[\s\S]*Sorry, product reviews are currently unavailable for this book\./);
});

test("productpage sets end-user from the session and drops a client's own", async (t) => {
  const seen: (string | undefined)[] = [];
  const recorder: Handler = ({ headers }) => {
    seen.push(headers["end-user"]);
    return { status: 200, body: "{}" };
  };
  const port = await serve(t, recorder);
  const handler = productpageHandler({ ...HOSTS, DETAILS_SERVICE_PORT: port, REVIEWS_SERVICE_PORT: port });
  await handler(request({ path: "/productpage", headers: { "end-user": "mallory" } }));
  const login = await handler(
    request({ method: "POST", path: "/login", body: "username=jason", headers: { referer: "/productpage?u=test" } }),
  );
  assert.equal(login.status, 302);
  assert.equal(login.headers?.["location"], "/productpage?u=test");
  const cookie = login.headers?.["set-cookie"]?.split(";")[0] ?? "";
  await handler(request({ path: "/productpage", headers: { cookie } }));
  await handler(request({ path: "/productpage", headers: { cookie: `${cookie.slice(0, -2)}xx` } }));
  assert.deepEqual(seen, [undefined, undefined, "jason", "jason", undefined, undefined]);
});

test("productpage counts the results of its calls", async (t) => {
  const { page } = await application(t, {});
  await callHttp(`${page}/productpage`, { timeoutMs: 5_000 });
  const { body } = await callHttp(`${page}/metrics`, { timeoutMs: 5_000 });
  assert.match(body, /request_result_total\{destination_app="details",response_code="200"\} 1/);
});

test("details refuses an id that is no number", async () => {
  assert.equal((await detailsHandler({})(request({ path: "/details/x" }))).status, 400);
});

test("ratings stores what is posted, except in v2", async () => {
  const v1 = ratingsHandler({});
  assert.equal((await v1(request({ method: "POST", path: "/ratings/7", body: '{"Reviewer1":1}' }))).status, 200);
  assert.equal((await v1(request({ path: "/ratings/7" }))).body, '{"id":7,"ratings":{"Reviewer1":1}}');
  assert.equal((await v1(request({ method: "POST", path: "/ratings/7", body: "{" }))).status, 400);
  assert.equal(
    (await ratingsHandler({ SERVICE_VERSION: "v2" })(request({ method: "POST", path: "/ratings/7", body: "{}" }))).status,
    501,
  );
});

test("ratings versions misbehave as their names say", async () => {
  let nowMs = 0;
  const slept: number[] = [];
  const world = { random: () => 0, nowMs: () => nowMs, sleep: async (ms: number) => void slept.push(ms) };
  const get = async (version: string) => {
    const handler = ratingsHandler({ SERVICE_VERSION: version }, world);
    const first = (await handler(request({ path: "/ratings/0" }))).status;
    nowMs += 60_000;
    const second = (await handler(request({ path: "/ratings/0" }))).status;
    nowMs += 14 * 60_000;
    return [first, second, (await handler(request({ path: "/health" }))).status];
  };
  assert.deepEqual(await get("v-faulty"), [503, 503, 200]);
  assert.deepEqual(await get("v-unavailable"), [200, 503, 200]);
  assert.deepEqual(await get("v-unhealthy"), [200, 200, 500]);
  assert.deepEqual(await get("v-delayed"), [200, 200, 200]);
  assert.deepEqual(slept, [7_000, 7_000]);
});

test("ratings v2 reads the shelf", async (t) => {
  const shelf = await serveShelf(0);
  t.after(() => shelf.close());
  const handler = ratingsHandler({ SERVICE_VERSION: "v2", MONGO_DB_URL: `shelf://127.0.0.1:${shelf.port}` });
  assert.equal((await handler(request({ path: "/ratings/0" }))).body, '{"id":0,"ratings":{"Reviewer1":5,"Reviewer2":4}}');
});
