# npm run demo: a whole mesh on this machine. `-- --check` asserts every step and ends.
exec node packages/lab/src/main.ts demo "$@"
