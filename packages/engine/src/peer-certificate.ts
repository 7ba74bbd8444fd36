// What a TLS peer has proved, read from OpenSSL once per session.
import { certificateDer, certificateNotAfterMs, certificateSerial, certificateUris, openssl } from "./openssl.ts";
import type { PeerCertificate } from "./secure-channel.ts";

const X509_V_OK = 0;

/** undefined when there is no certificate or it did not verify. */
export function readPeerCertificate(ssl: number): PeerCertificate | undefined {
  const leaf = openssl.SSL_get0_peer_certificate(ssl);
  if (leaf === 0 || openssl.SSL_get_verify_result(ssl) !== X509_V_OK) return undefined;
  return {
    uris: certificateUris(leaf),
    notAfterMs: certificateNotAfterMs(leaf),
    serial: certificateSerial(leaf),
    chain: () => readChain(ssl),
  };
}

function readChain(ssl: number): Uint8Array[] {
  const stack = openssl.SSL_get0_verified_chain(ssl);
  const chain: Uint8Array[] = [];
  for (let i = 0; stack !== 0 && i < openssl.OPENSSL_sk_num(stack); i++) {
    const der = certificateDer(openssl.OPENSSL_sk_value(stack, i));
    if (der !== undefined) chain.push(der);
  }
  return chain;
}
