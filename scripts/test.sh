# npm test: every test, in a sandbox. Arguments, if any, are the files to run instead.
set -eu
ulimit -n "$(ulimit -Hn)" 2>/dev/null || true
[ $# -gt 0 ] || set -- 'packages/*/src/**/*.test.ts' 'deploy/samples/*/src/**/*.test.ts' 'scripts/**/*.test.ts' 'e2e/netns/**/*.test.ts'
exec sh scripts/sandbox node --test --test-reporter="${TEST_REPORTER:-spec}" --test-concurrency="${TEST_CONCURRENCY:-2}" "$@"
