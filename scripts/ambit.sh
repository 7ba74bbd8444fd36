exec node packages/cli/src/main.ts "$@"
