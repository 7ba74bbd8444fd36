// HTTP/2 for the layers above: sessions of both roles and their streams.
export { type ClientSessionListener, Http2ClientSession } from "./client-session.ts";
export { H2, type Http2ErrorCode, h2CodeName, http2Errors } from "./faults.ts";
export { headerValue } from "./header-rules.ts";
export type { Header, HeaderList } from "./hpack.ts";
export { Http2ServerSession, type ServerSessionListener } from "./server-session.ts";
export type { Http2SessionListener } from "./session-lifecycle.ts";
export { Http2Stream, type Http2StreamListener } from "./stream.ts";
