// The sign-in of productpage: a user name in a cookie that only we can write.
import { createHmac, timingSafeEqual } from "node:crypto";

const COOKIE = "session";

export class Sessions {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /** Value of a `set-cookie` header that signs `user` in. */
  signIn(user: string): string {
    const name = Buffer.from(user, "utf8").toString("base64url");
    return `${COOKIE}=${name}.${this.#sign(name)}; Path=/; HttpOnly; SameSite=Lax`;
  }

  signOut(): string {
    return `${COOKIE}=; Path=/; Max-Age=0`;
  }

  /** Undefined without a cookie, or with one that was not made here. */
  userOf(cookieHeader: string | undefined): string | undefined {
    const cookie = (cookieHeader ?? "")
      .split(";")
      .map((part) => part.trim())
      .find((part) => part.startsWith(`${COOKIE}=`));
    const [name = "", signature = ""] = (cookie ?? "").slice(COOKIE.length + 1).split(".");
    const expected = this.#sign(name);
    if (name === "" || signature.length !== expected.length) return undefined;
    return timingSafeEqual(Buffer.from(signature), Buffer.from(expected))
      ? Buffer.from(name, "base64url").toString("utf8")
      : undefined;
  }

  #sign(name: string): string {
    return createHmac("sha256", this.#key).update(name).digest("base64url");
  }
}
