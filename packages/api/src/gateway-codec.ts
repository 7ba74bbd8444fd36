// References to waypoints and network gateways.
import { type GatewayAddress, INBOUND_HBONE_PORT } from "@ambit/core";
import { create } from "@bufbuild/protobuf";
import { invalidField } from "./errors.ts";
import { GatewayAddressSchema, type GatewayAddress as GatewayMessage } from "./gen/workload_pb.js";
import { decodePort } from "./port-codec.ts";
import { decodeNetworkAddress, encodeNetworkAddress } from "./wire-addresses.ts";

export function decodeGateway(path: string, message: GatewayMessage): GatewayAddress {
  const { destination } = message;
  const hboneMtlsPort =
    message.hboneMtlsPort === 0 ? INBOUND_HBONE_PORT : decodePort(`${path}.hbone_mtls_port`, message.hboneMtlsPort);
  if (destination.case === "hostname") {
    const { namespace, hostname } = destination.value;
    if (hostname === "") throw invalidField(`${path}.hostname`, "is empty");
    return { destination: { kind: "hostname", namespace, hostname }, hboneMtlsPort };
  }
  if (destination.case === "address") {
    return {
      destination: { kind: "address", address: decodeNetworkAddress(`${path}.address`, destination.value) },
      hboneMtlsPort,
    };
  }
  throw invalidField(path, "names neither a hostname nor an address");
}

export function encodeGateway(gateway: GatewayAddress): GatewayMessage {
  const { destination, hboneMtlsPort } = gateway;
  return create(GatewayAddressSchema, {
    hboneMtlsPort,
    destination:
      destination.kind === "hostname"
        ? { case: "hostname", value: { namespace: destination.namespace, hostname: destination.hostname } }
        : { case: "address", value: encodeNetworkAddress(destination.address) },
  });
}
