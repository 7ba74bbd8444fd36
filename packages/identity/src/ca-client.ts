// Asks the certificate authority to sign for an identity.
import { readFile } from "node:fs/promises";
import { type IstioCertificateResponse, IstioCertificateService } from "@ambit/api";
import { MeshError, type SpiffeId } from "@ambit/core";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { createSigningRequest } from "./csr.ts";
import { type Svid, svidFromReply } from "./svid.ts";

export interface CaClientOptions {
  /** `https://host:port`. */
  readonly address: string;
  /** PEM file with the roots that vouch for the authority's own certificate; read again when it has changed. */
  readonly rootCertFile: string;
  /** Name to expect in the authority's certificate, when it is not the address's host. */
  readonly serverName?: string;
  /** File with the bearer token; read for each request, since it is rotated. */
  readonly tokenFile?: string;
  readonly clusterId: string;
  /** Lifetime to ask for. */
  readonly ttlMs: number;
  readonly timeoutMs: number;
}

export class CaClient {
  readonly #options: CaClientOptions;
  #client: { readonly roots: string; readonly rpc: Client<typeof IstioCertificateService> } | undefined;

  constructor(options: CaClientOptions) {
    this.#options = options;
  }

  /**
   * A new key and a certificate for the identity.
   * @throws IDENTITY_CA_UNREACHABLE, IDENTITY_CA_REFUSED, IDENTITY_CA_REPLY_INVALID; retry "later"
   */
  async fetch(identity: SpiffeId, signal: AbortSignal): Promise<Svid> {
    const { csrPem, privateKeyPem } = createSigningRequest(identity);
    const reply = await this.#sign(identity, csrPem, signal);
    return svidFromReply(identity, privateKeyPem, reply.certChain);
  }

  async #sign(identity: SpiffeId, csr: string, signal: AbortSignal): Promise<IstioCertificateResponse> {
    const { tokenFile, clusterId, ttlMs, timeoutMs } = this.#options;
    try {
      const headers = new Headers({ clusterid: clusterId });
      if (tokenFile !== undefined) headers.set("authorization", `Bearer ${(await readFile(tokenFile, "utf8")).trim()}`);
      const rpc = await this.#rpc();
      return await rpc.createCertificate(
        { csr, validityDuration: BigInt(Math.round(ttlMs / 1000)), metadata: { ImpersonatedIdentity: identity } },
        { headers, signal, timeoutMs },
      );
    } catch (cause) {
      throw this.#translate(identity, cause);
    }
  }

  /** The file of roots is read each time: a rotated root must be trusted without a restart. */
  async #rpc(): Promise<Client<typeof IstioCertificateService>> {
    const { address, rootCertFile, serverName } = this.#options;
    const roots = await readFile(rootCertFile, "utf8");
    if (this.#client?.roots !== roots) {
      const nodeOptions = { ca: roots, ...(serverName === undefined ? {} : { servername: serverName }) };
      this.#client = {
        roots,
        rpc: createClient(IstioCertificateService, createGrpcTransport({ baseUrl: address, nodeOptions })),
      };
    }
    return this.#client.rpc;
  }

  #translate(identity: SpiffeId, cause: unknown): MeshError {
    const { address } = this.#options;
    const error = ConnectError.from(cause);
    if (REFUSALS.has(error.code)) {
      return new MeshError(
        "IDENTITY_CA_REFUSED",
        `The authority at ${address} does not sign for ${identity}: ${error.rawMessage}`,
        { cause },
      );
    }
    return new MeshError("IDENTITY_CA_UNREACHABLE", `No certificate for ${identity} from ${address}: ${error.rawMessage}`, {
      cause,
    });
  }
}

const REFUSALS: ReadonlySet<Code> = new Set([
  Code.Unauthenticated,
  Code.PermissionDenied,
  Code.InvalidArgument,
  Code.FailedPrecondition,
]);
