// Bookinfo's servers in one program: `node src/main.ts ROLE [ARGUMENTS]`.
type Role = (args: readonly string[]) => Promise<void>;

/** Only the role that runs is loaded: a pod starts faster and holds less memory. */
const ROLES: Readonly<Record<string, () => Promise<Role>>> = {
  productpage: async () => (await import("./productpage.ts")).runProductpage,
  details: async () => (await import("./details.ts")).runDetails,
  reviews: async () => (await import("./reviews.ts")).runReviews,
  ratings: async () => (await import("./ratings.ts")).runRatings,
  shelf: async () => (await import("./shelf.ts")).runShelf,
  "tcp-echo": async () => (await import("./tcp-echo.ts")).runTcpEcho,
  loadgen: async () => (await import("./loadgen.ts")).runLoadgen,
  fetch: async () => (await import("./client.ts")).runFetch,
  client: async () => (await import("./client.ts")).runClient,
};

const [name = "", ...args] = process.argv.slice(2);
const role = Object.hasOwn(ROLES, name) ? ROLES[name] : undefined;
if (role === undefined) {
  console.error(`usage: main.ts ROLE [ARGUMENTS]; roles are ${Object.keys(ROLES).join(", ")}`);
  process.exit(64);
}
await (await role())(args);
