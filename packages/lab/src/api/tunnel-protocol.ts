// The name that both ends of a connection into a pod upgrade to.
export const TUNNEL_PROTOCOL = "ambit-lab-tunnel";
