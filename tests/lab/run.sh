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

root=${LLAMAOPS_TEST_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/llamaops-test/root}
ansible-playbook -i localhost, -c local -e ansible_python_interpreter="$(command -v python3)" -e root="$root" tests/built.yml
LAB_BUILD_ID=$(basename "$(readlink -f "$root/current")")
LAB_BUILD_ARCHIVE=$PWD/.build/$LAB_BUILD_ID.tar
LAB_SH=$PWD/tests/lab/lab.sh
export LAB_BUILD_ID LAB_BUILD_ARCHIVE LAB_SH NO_COLOR=1 PY_COLORS=0 ANSIBLE_NOCOLOR=1 COLUMNS=160
tar --owner=0 --group=0 --numeric-owner -cf "$LAB_BUILD_ARCHIVE" -C "$root/builds" "$LAB_BUILD_ID"

trap '"$LAB_SH" down; rm -f "$LAB_BUILD_ARCHIVE"' EXIT
tests/lab/image.sh bookworm &
tests/lab/image.sh trixie
wait $!
"$LAB_SH" up
[ $# -gt 0 ] || set -- extensions/molecule/*/
for scenario; do
  "$LAB_SH" gw molecule test --scenario-name "$(basename "$scenario")"
done
