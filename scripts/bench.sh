# npm run bench: the L4 path against nginx and HAProxy, in a sandbox.
exec sh scripts/sandbox node e2e/bench/main.ts "$@"
