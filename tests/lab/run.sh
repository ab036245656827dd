#!/usr/bin/env bash
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# run.sh [SCENARIO...] - the lab level of the tests: make the hosts, test the roles on them by molecule, remove
# everything. All scenarios of extensions/molecule, or those that are named.
# Ends with 77 where the lab cannot run. `make lab` sets the environment.
set -euo pipefail
cd "$(dirname "$0")/../.."

PATH=$PATH:/usr/sbin:/sbin # which `su` without `-` leaves out
missing=()
[ "$(id -u)" = 0 ] || missing+=("root")
for tool in systemd-nspawn:systemd-container mmdebstrap:mmdebstrap slirp4netns:slirp4netns nft:nftables \
  ip:iproute2 ssh-keygen:openssh-client pgrep:procps; do
  command -v "${tool%:*}" >/dev/null || missing+=("the package ${tool#*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo 'The lab cannot run here, it needs:'
  printf '  %s\n' "${missing[@]}"
  exit 77
fi

# its names are those of the machine: a second run, from another checkout, waits for its turn, or is given LAB, another
# name of at most 5 characters
lab=${LAB:-llab}
[ -n "${LAB_TAKEN:-}" ] || LAB_TAKEN=1 exec flock --close "/var/tmp/$lab.lock" "$PWD/tests/lab/run.sh" "$@"

root=${LLAMAOPS_TEST_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/llamaops-test/root}
ansible-playbook -i localhost, -c local -e ansible_python_interpreter="$(command -v python3)" -e root="$root" tests/built.yml
LAB_BUILD_ID=$(basename "$(readlink -f "$root/current")")
LAB_BUILD_ARCHIVE=$PWD/.build/$LAB_BUILD_ID.tar
LAB_SH=$PWD/tests/lab/lab.sh
export LAB_BUILD_ID LAB_BUILD_ARCHIVE LAB_SH NO_COLOR=1 PY_COLORS=0 ANSIBLE_NOCOLOR=1 COLUMNS=160
tar --owner=0 --group=0 --numeric-owner -cf "$LAB_BUILD_ARCHIVE" -C "$root/builds" "$LAB_BUILD_ID"

# hosts see the service for Transformers models, which is too large to be copied, and the Python that it was made with
shared=${XDG_CACHE_HOME:-$HOME/.cache}/llamaops-test/reranker
if [ $# = 0 ] || [[ " $* " == *" launch "* ]]; then
  ansible-playbook -i localhost, -c local -e ansible_python_interpreter="$(command -v python3)" -e root="$shared" tests/reranker.yml
  LAB_SERVICE=$(readlink -f "$shared/reranker/current")
  LAB_BINDS="$LAB_SERVICE:/srv/service $("$LAB_SERVICE/venv/bin/python" -c 'import sys; print(sys.base_prefix)'):/srv/python"
  export LAB_SERVICE LAB_BINDS
fi

logs=$PWD/.build/log/lab
rm -rf "$logs"
mkdir -p "$logs"
trap 'rm -f "$LAB_BUILD_ARCHIVE"' EXIT
tests/lab/image.sh bookworm &
tests/lab/image.sh trixie
wait $!

lane() ( # NUMBER - one scenario after the other that nobody has taken yet, in a lab of its own
  export LAB=$lab$1 LAB_SUBNET=10.231.$((6 + $1)) LAB_STATE=/var/tmp/$lab$1
  # addresses are the same in every lab: a connection that another run of tests shares would lead to its hosts
  export ANSIBLE_SSH_CONTROL_PATH_DIR=$LAB_STATE/cp
  trap '"$LAB_SH" down' EXIT
  "$LAB_SH" up
  for scenario in "${scenarios[@]}"; do
    mkdir "$logs/$scenario" 2>/dev/null || continue
    status=0
    "$LAB_SH" gw molecule test --scenario-name "$scenario" >"$logs/$scenario.log" 2>&1 || status=$?
    echo "$status" >"$logs/$scenario/end"
  done
)

# two side by side: most of the time a scenario waits
[ $# -gt 0 ] || mapfile -t scenarios < <(basename -a extensions/molecule/*/)
[ $# = 0 ] || scenarios=("$@")
lane 1 & lanes=($!)
[ ${#scenarios[@]} = 1 ] || { lane 2 & lanes+=($!); }
wait "${lanes[@]}" || true

passed=0 failed=0
for scenario in "${scenarios[@]}"; do
  said=$(grep -E '[0-9]+ (passed|failed|error)' "$logs/$scenario.log" | tail -n 1 | tr -d '=' || true)
  good=$(grep -oE '[0-9]+ passed' <<<"$said" | cut -d' ' -f1 || true) bad=$(grep -oE '[0-9]+ failed' <<<"$said" | cut -d' ' -f1 || true)
  passed=$((passed + ${good:-0}))
  if [ "$(cat "$logs/$scenario/end" 2>/dev/null)" = 0 ] && [ "${good:-0}" -gt 0 ]; then
    echo "ok      $scenario: $said"
  else
    failed=$((failed + (${bad:-0} > 0 ? bad : 1)))
    echo "---- $scenario: what failed, and the end of $logs/$scenario.log"
    grep -E '^(E  |FAILED|ERROR|fatal:|failed:|\[ERROR\])' "$logs/$scenario.log" | cut -c1-1000 | head -n 60 || true
    tail -n 30 "$logs/$scenario.log" | cut -c1-300 || true
    echo "FAILED  $scenario: $said"
  fi
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
