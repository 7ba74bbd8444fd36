// Ports of the proxy inside a pod that no traffic may be carried to.
import { DNS_PORT, INBOUND_HBONE_PORT, INBOUND_PLAINTEXT_PORT, OUTBOUND_PORT } from "@ambit/core";

/** Carrying traffic to one of these would call ourselves. The DNS port is included, which ztunnel leaves out. */
export const RESERVED_PORTS: ReadonlySet<number> = new Set([OUTBOUND_PORT, INBOUND_PLAINTEXT_PORT, INBOUND_HBONE_PORT, DNS_PORT]);
