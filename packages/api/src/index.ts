// The wire: protobuf messages to and from the vocabulary, and the service definitions.
export * from "./address-codec.ts";
export * from "./authorization-codec.ts";
export { type ApiErrorCode, apiErrors } from "./errors.ts";
export * from "./rpc.ts";
export * from "./type-urls.ts";
export * from "./zds-codec.ts";
