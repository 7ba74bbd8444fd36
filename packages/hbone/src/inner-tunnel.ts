// Double HBONE: a session of its own inside an open tunnel, for one connection.
import type { SpiffeId } from "@ambit/core";
import type { Credentials, Engine } from "@ambit/engine";
import { HboneClient } from "./client.ts";
import type { HeaderList, OpenTunnelResult, Tunnel } from "./contract.ts";
import { hboneError } from "./errors.ts";

export interface OpenInnerOptions {
  /** The tunnel to the network gateway; it belongs to the inner session from here. */
  readonly outer: Tunnel;
  readonly credentials: Credentials;
  /** Of the workload or waypoint behind the gateway. */
  readonly expectedIdentities: readonly SpiffeId[];
  readonly handshakeTimeoutMs: number;
  readonly authority: string;
  readonly headers: HeaderList;
}

/**
 * TLS and CONNECT inside `outer`. Not pooled: each connection may land on another endpoint behind the gateway. The session ends with the
 * tunnel. `done` is called exactly once, never before this function has returned.
 * @source ztunnel src/proxy/outbound.rs proxy_to_double_hbone; ambient-data-plane.md section 4.10
 */
export function openInner(
  engine: Engine,
  options: OpenInnerOptions,
  done: (result: OpenTunnelResult) => void,
): { cancel(): void } {
  let isPending = true;
  const finish = (result: OpenTunnelResult): void => {
    if (!isPending) return;
    isPending = false;
    done(result);
  };
  const client = new HboneClient(engine, options, {
    onReady: () => {
      client.openTunnel(options.authority, options.headers, finish);
      // The one tunnel keeps the session; after it nothing does.
      client.drain();
    },
    onChange: () => undefined,
    onClosed: (error) =>
      finish({
        kind: "failed",
        error: error ?? hboneError("HBONE_SESSION_LOST", "Peer closed the inner session before it was open"),
      }),
  });
  client.over(options.outer);
  return {
    cancel: () => {
      isPending = false;
      client.close(hboneError("HBONE_SESSION_LOST", "The inner tunnel was given up by its owner"));
    },
  };
}
