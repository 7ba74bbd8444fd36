export * from "./netns.ts";
