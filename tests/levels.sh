#!/usr/bin/env bash
# levels.sh LEVEL... - run test levels one after the other, then say how each ended.
# Levels: static unit integration lab. Fails if one failed, or if the lab could not run under LLAMAOPS_REQUIRE_LAB=1.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
logs=.build/log

run() {
  case $1 in
    static) tests/static.sh ;;
    unit) pytest -q tests/unit ;;
    integration) pytest -n 2 --dist loadfile tests/integration --durations=5 ;; # most of the time a test waits
    lab) tests/lab/run.sh ;; # 77: cannot run here
    *) echo "unknown level: $1"; return 2 ;;
  esac
}

mkdir -p "$logs"
table='' status=0
for level in "$@"; do
  printf '\n==== %s\n' "$level"
  start=$SECONDS
  run "$level" 2>&1 | tee "$logs/$level.log"
  case ${PIPESTATUS[0]} in
    0) word=PASSED ;;
    77) word='NOT RUN' status=$((status | ${LLAMAOPS_REQUIRE_LAB:-0})) ;;
    *) word=FAILED status=1 ;;
  esac
  said=$(grep -E '[0-9]+ (passed|failed|errors?)\b' "$logs/$level.log" | tail -n 1 | tr -d '=')
  table+=$(printf '%-12s %-8s %5d s  %s' "$level" "$word" $((SECONDS - start)) "$said")$'\n'
done

printf '\n%s' "$table"
grep -oE '[0-9]+ (passed|failed|errors?)\b' <<<"$table" |
  awk '{ n[$2 == "passed"] += $1 } END { printf "%d passed, %d failed\n", n[1], n[0] }'
exit $status
