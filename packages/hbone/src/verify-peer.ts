// Peer certificate to identity. The chain is verified by then; here it is decided whether it is the right peer.
import { asSpiffeId, type MeshError, parseSpiffeId, type SpiffeId } from "@ambit/core";
import type { PeerCertificate } from "@ambit/engine/internal";
import { hboneError } from "./errors.ts";

export type PeerVerdict =
  | { readonly kind: "verified"; readonly identity: SpiffeId }
  | { readonly kind: "refused"; readonly error: MeshError };

/**
 * The side that dials: one of the certificate's identities must be one that we expect at this destination.
 * @source ztunnel src/tls/workload.rs IdentityVerifier
 */
export function verifyServer(peer: PeerCertificate, expected: readonly SpiffeId[]): PeerVerdict {
  if (expected.length === 0) return refused("No identity is expected at the destination, so that none can be accepted", peer);
  for (const uri of peer.uris) {
    const identity = asSpiffeId(uri);
    if (identity !== undefined && expected.includes(identity)) return { kind: "verified", identity };
  }
  return refused(`Peer proved ${described(peer)}, expected ${expected.join(" or ")}`, peer);
}

/**
 * The side that listens: the client's trust domain must be that of our own certificate; there is no list of aliases.
 * @source ztunnel src/tls/workload.rs TrustDomainVerifier
 */
export function verifyClient(peer: PeerCertificate, own: SpiffeId): PeerVerdict {
  const trustDomain = parseSpiffeId(own)?.trustDomain;
  const identity = peer.uris.map(asSpiffeId).find((id) => id !== undefined);
  if (identity === undefined) return refused(`Peer proved ${described(peer)}, which is no workload's identity`, peer);
  if (trustDomain === undefined || parseSpiffeId(identity)?.trustDomain !== trustDomain) {
    return refused(`Peer ${identity} is of another trust domain than ours, ${trustDomain ?? own}`, peer);
  }
  return { kind: "verified", identity };
}

function described(peer: PeerCertificate): string {
  return peer.uris.length === 0 ? "no identity" : peer.uris.join(", ");
}

function refused(message: string, peer: PeerCertificate): PeerVerdict {
  return { kind: "refused", error: hboneError("HBONE_PEER_UNVERIFIED", message, { details: { uris: peer.uris } }) };
}
