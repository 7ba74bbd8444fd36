// The `certificates` part of /config_dump.
import type { X509Certificate } from "node:crypto";
import { certificatesOf } from "./svid.ts";
import type { SvidStatus } from "./svid-manager.ts";

/** In the shape that istioctl ztunnel-config reads. @source ztunnel src/identity/manager.rs, src/admin.rs */
export function dumpCertificates(statuses: readonly SvidStatus[]): readonly object[] {
  return statuses.map(({ identity, state, svid, error }) => ({
    identity,
    state,
    ...(error === undefined ? {} : { error: error.message }),
    certChain: svid === undefined ? [] : certificatesOf(svid.certChain).map(dumpCertificate),
    rootCerts: svid === undefined ? [] : certificatesOf(svid.roots).map(dumpCertificate),
  }));
}

function dumpCertificate(certificate: X509Certificate): object {
  return {
    pem: Buffer.from(`${certificate.toString()}`).toString("base64"),
    serialNumber: BigInt(`0x${certificate.serialNumber}`).toString(),
    validFrom: seconds(certificate.validFrom),
    expirationTime: seconds(certificate.validTo),
  };
}

function seconds(text: string): string {
  return new Date(text).toISOString().replace(".000Z", "Z");
}
