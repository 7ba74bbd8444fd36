// The whole control plane in the test's own process, and proxies that connect to it.
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Clock, realClock, silentLogger } from "@ambit/core";
import { DeltaClient, type DeltaClientOptions, discoveryNode, MeshState, type MeshUpdate, rootSource } from "@ambit/discovery";
import { CaClient } from "@ambit/identity";
import { DirectorySource, type ObjectSource } from "@ambit/kube";
import { loadConfig } from "@ambit/runtime";
import { buildApp } from "../app.ts";
import { istiodConfigSpec } from "../config.ts";
import { pod } from "./objects.ts";
import { type TokenClaims, TokenIssuer } from "./tokens.ts";

export interface ControlPlaneOptions {
  /** Absent: the YAML directory. */
  readonly source?: ObjectSource;
  readonly clock?: Clock;
  readonly environment?: Readonly<Record<string, string>>;
}

/** The node proxy's own pod on node n1, as tokens by `nodeToken` are bound to it. */
export const nodeProxy = pod("zt", {
  namespace: "ambit-system",
  serviceAccount: "ztunnel",
  uid: "zt-uid",
  node: "n1",
  ip: "10.0.9.1",
});
const BOUND: TokenClaims = { pod: { name: "zt", uid: "zt-uid" } };

export async function startControlPlane(t: TestContext, options: ControlPlaneOptions = {}) {
  const directory = mkdtempSync(join(tmpdir(), "istiod-"));
  const [objects, ca, keys] = ["objects", "ca", "keys.json"].map((name) => join(directory, name)) as [string, string, string];
  mkdirSync(objects);
  const issuer = new TokenIssuer();
  writeFileSync(keys, issuer.keySet);
  const config = loadConfig(istiodConfigSpec, {
    ...{ SOURCE_DIR: objects, CA_DIR: ca, TOKEN_KEYS_FILE: keys, GRPC_PORT: "0", HTTP_PORT: "0" },
    ...{
      BIND_ADDRESS: "127.0.0.1",
      SERVER_NAMES: "localhost,127.0.0.1",
      PILOT_DEBOUNCE_AFTER: "1ms",
      TERMINATION_DRAIN_DURATION: "1s",
    },
    ...options.environment,
  });
  const source = options.source ?? new DirectorySource({ directory: objects });
  const clock = options.clock ?? realClock;
  const app = buildApp(config, { source, logger: silentLogger, clock });
  const stop = new AbortController();
  const running = app.run(stop.signal);
  const end = async () => {
    stop.abort();
    await running;
  };
  t.after(async () => {
    stop.abort();
    // A start that failed has been thrown already.
    await Promise.allSettled([running]);
    rmSync(directory, { recursive: true });
  });
  while (!app.readiness.ready) await Promise.race([running, sleep(2)]);
  const address = `https://127.0.0.1:${app.ports.grpc}`;
  const rootCertFile = join(ca, "root-cert.pem");

  const writeToken = (claims: TokenClaims = BOUND, by = issuer) => {
    const file = join(directory, `token-${Math.random()}`);
    writeFileSync(file, by.token(claims));
    return file;
  };
  return {
    app,
    address,
    issuer,
    end,
    caDirectory: ca,
    keysFile: keys,
    rootCertFile,
    /** Replaces a file of the watched directory in one step. */
    put(name: string, text: string) {
      writeFileSync(join(objects, `.${name}`), text);
      renameSync(join(objects, `.${name}`), join(objects, name));
    },
    writeToken,
    /** A page of the HTTP port. */
    async page(path: string): Promise<{ status: number; text: string }> {
      const reply = await fetch(`http://127.0.0.1:${app.ports.http}${path}`);
      return { status: reply.status, text: await reply.text() };
    },
    /** Asks for certificates with a token; by default the node proxy's. */
    caClient(tokenFile: string | undefined = writeToken(), ttlMs = 3_600_000) {
      return new CaClient({
        ...{ address, rootCertFile, ttlMs, clusterId: "Kubernetes", timeoutMs: 10_000 },
        ...(tokenFile === undefined ? {} : { tokenFile }),
      });
    },
    /** A proxy that runs until the test ends or it is stopped. */
    connect({ token = BOUND, ...more }: Partial<DeltaClientOptions> & { readonly token?: TokenClaims } = {}) {
      return connectProxy(t, { address, rootCertFile, readToken: () => Promise.resolve(issuer.token(token)) }, more);
    },
  };
}

export type ControlPlane = Awaited<ReturnType<typeof startControlPlane>>;

interface Access {
  readonly address: string;
  readonly rootCertFile: string;
  readonly readToken: () => Promise<string>;
}

function connectProxy(t: TestContext, { address, rootCertFile, readToken }: Access, more: Partial<DeltaClientOptions>) {
  const state = new MeshState();
  const updates: MeshUpdate[] = [];
  const nothing = { inc() {} };
  const stop = new AbortController();
  const client = new DeltaClient(
    {
      ...{ clock: realClock, logger: silentLogger, readToken, readRoots: rootSource(rootCertFile) },
      metrics: { terminations: nothing, messages: nothing, messageBytes: nothing },
      onUpdate: (update) => {
        updates.push(update);
        state.apply(update);
      },
    },
    {
      ...{ address, clusterId: "Kubernetes", headers: {}, backoff: { initialMs: 5, maxMs: 50, jitter: 0.5 } },
      node: proxyNode(),
      ...more,
    },
  );
  const running = client.run(stop.signal);
  const end = async () => {
    stop.abort();
    await running;
  };
  t.after(end);
  return { client, state, updates, end };
}

export function proxyNode(nodeName = "n1", podNamespace = "ambit-system") {
  return discoveryNode({ proxyType: "ztunnel", podName: "zt", podNamespace, nodeName, environment: {} });
}

/** Names that updates brought and took, in order. */
export function namesOf(updates: readonly MeshUpdate[]): string[] {
  return updates.flatMap(({ addresses, authorizations }) =>
    [addresses, authorizations].flatMap((changes) =>
      changes === undefined
        ? []
        : [...changes.upserts.map(({ name }) => `+${name}`), ...changes.removals.map((name) => `-${name}`)],
    ),
  );
}
