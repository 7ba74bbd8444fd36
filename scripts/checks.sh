# npm run checks: types, format and lint, type-aware lint, import arrows, dead code. Fails at the end, having run them all.
set -u
status=0
step() {
  name=$1
  shift
  printf '== %s\n' "$name"
  "$@" || { status=1; printf '   %s failed\n' "$name"; }
}
step "types (tsc)" tsc -p .
step "format and lint (biome)" biome check .
step "promises and exhaustive switches (oxlint)" oxlint --type-aware --quiet .
step "import arrows (dependency-cruiser)" node scripts/check-imports.ts
step "dead code (knip)" knip --no-progress
exit $status
