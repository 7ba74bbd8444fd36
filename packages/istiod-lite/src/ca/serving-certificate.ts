// Our own server's certificate, signed by our own authority and renewed while the server runs.
import { generateKeyPairSync } from "node:crypto";
import { type Clock, type ClockTimer, type Logger, parseIp } from "@ambit/core";
import { halfLifeMs, type Signer } from "./signer.ts";

export interface ServingCredentials {
  /** Leaf first, then intermediates. */
  readonly cert: string;
  readonly key: string;
  /** What client certificates must chain to. */
  readonly ca: string;
}

export interface ServingCertificateOptions {
  /** DNS names, or addresses. */
  readonly serverNames: readonly string[];
  readonly ttlMs: number;
}

export class ServingCertificate {
  readonly #signer: Signer;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #options: ServingCertificateOptions;
  #timer: ClockTimer | undefined;

  constructor(deps: { signer: Signer; clock: Clock; logger: Logger }, options: ServingCertificateOptions) {
    this.#signer = deps.signer;
    this.#clock = deps.clock;
    this.#logger = deps.logger;
    this.#options = options;
  }

  /** The first credentials; `onRenewed` gets every later ones until `signal` aborts. */
  start(onRenewed: (credentials: ServingCredentials) => void, signal: AbortSignal): ServingCredentials {
    const renew = () => {
      const credentials = this.#issue(renew);
      this.#logger.info("The server has a new certificate");
      onRenewed(credentials);
    };
    const unsubscribe = this.#signer.onChange(renew);
    signal.addEventListener("abort", () => {
      unsubscribe();
      this.#timer?.cancel();
    });
    return this.#issue(renew);
  }

  #issue(renew: () => void): ServingCredentials {
    const { serverNames, ttlMs } = this.#options;
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
    const ips = serverNames.filter((name) => parseIp(name) !== undefined);
    const dnsNames = serverNames.filter((name) => parseIp(name) === undefined);
    const chain = this.#signer.issue({ publicKey, names: { dnsNames, ips }, ttlMs });
    const [leaf = ""] = chain;
    this.#timer?.cancel();
    this.#timer = this.#clock.after(halfLifeMs(leaf) - this.#clock.nowMs(), renew);
    return {
      cert: chain.slice(0, -1).join(""),
      key: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
      ca: this.#signer.rootsPem,
    };
  }
}
