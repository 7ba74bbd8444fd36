// For tests: a certificate authority in the test's process that signs for anybody, as short as told, or refuses.
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { IstioCertificateService } from "@ambit/api";
import { asSpiffeId } from "@ambit/core";
import { checkSigningRequest, issueCertificate, issueRoot } from "@ambit/identity";
import { Code, ConnectError } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";

const HOUR_MS = 3_600_000;

export class TestCa {
  readonly rootFile: string;
  /** Of what is issued from now on. */
  lifetimeMs = HOUR_MS;
  refuses = false;
  issued = 0;
  asked = 0;
  readonly #rootPem: string;
  readonly #key: KeyObject;
  readonly #server: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();

  private constructor(rootFile: string) {
    this.rootFile = rootFile;
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
    const nowMs = Date.now();
    const validity = { notBeforeMs: nowMs - HOUR_MS, notAfterMs: nowMs + 1_000 * HOUR_MS };
    this.#key = privateKey;
    this.#rootPem = issueRoot({ organization: "test", ...validity }, publicKey, privateKey);
    writeFileSync(rootFile, this.#rootPem);
    this.#server = createServer(
      connectNodeAdapter({
        routes: (router) =>
          router.service(IstioCertificateService, { createCertificate: ({ csr, metadata }) => this.#sign(csr, metadata) }),
      }),
    );
    this.#server.on("session", (session) => {
      this.#sessions.add(session);
      session.on("close", () => this.#sessions.delete(session));
    });
  }

  static async start(rootFile: string): Promise<TestCa> {
    const ca = new TestCa(rootFile);
    ca.#server.listen(0, "127.0.0.1");
    await once(ca.#server, "listening");
    return ca;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #sign(csr: string, metadata: Readonly<Record<string, unknown>> | undefined) {
    this.asked++;
    if (this.refuses) throw new ConnectError("refused by the test", Code.Unavailable);
    const identity = asSpiffeId(String(metadata?.["ImpersonatedIdentity"]));
    if (identity === undefined) throw new ConnectError("no identity is asked for", Code.InvalidArgument);
    const { publicKey } = checkSigningRequest(csr);
    const nowMs = Date.now();
    const leaf = issueCertificate(
      { names: { uris: [identity] }, isCa: false, notBeforeMs: nowMs - 1_000, notAfterMs: nowMs + this.lifetimeMs },
      publicKey,
      { certificatePem: this.#rootPem, privateKey: this.#key },
    );
    this.issued++;
    return { certChain: [leaf, this.#rootPem] };
  }
}
