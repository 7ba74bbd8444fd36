// The door for the data-plane engine: descriptors and pinned memory. No other package may import it.
export * from "./epoll.ts";
export * from "./eventfd.ts";
export * from "./fd-watcher.ts";
export * from "./foreign.ts";
export * from "./libc.ts";
export * from "./original-dst.ts";
export * from "./pinned.ts";
export * from "./sockaddr.ts";
export * from "./sockets.ts";
export * from "./splice.ts";
