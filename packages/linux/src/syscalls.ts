// The door for the data-plane engine, and for the lab's connections from inside a namespace: descriptors and pinned memory.
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
