// Who a workload is, provably: keys, signing requests, certificates and their renewal.
export * from "./ca-client.ts";
export * from "./certificate-dump.ts";
export * from "./csr.ts";
export * from "./errors.ts";
export * from "./issue-certificate.ts";
export * from "./svid.ts";
export * from "./svid-manager.ts";
