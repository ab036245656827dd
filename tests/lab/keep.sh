#!/usr/bin/env bash
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# keep.sh NAME - stays in the background for a host of lab.sh: enters its control groups, then runs its container,
# again after every reboot (systemd-nspawn without machined leaves that to its caller, by the status 133).
set -euo pipefail

name=$1
space=$LAB-$name
folder=$LAB_STATE/hosts/$name
printf %s "$space" >/proc/$$/comm
while read -r group; do echo $$ >"$group/cgroup.procs"; done <"$folder/cgroups"

binds=()
for bind in ${LAB_BINDS:-}; do binds+=("--bind-ro=$bind"); done

status=133
while [ $status = 133 ]; do
  status=0
  # CAP_NET_ADMIN: nftables and sysctls of the host's own network. bpf: IPAddressDeny= of units.
  # pidfd_getfd: timeouts on the connections of RPC workers.
  systemd-nspawn --quiet --directory="$folder/root" --machine="$space" --hostname="$name" \
    --register=no --keep-unit --settings=no --network-namespace-path="/run/netns/$space" \
    --capability=CAP_NET_ADMIN --system-call-filter="bpf pidfd_getfd" --kill-signal=SIGRTMIN+3 --console=read-only \
    --link-journal=no --resolv-conf=off --timezone=off "${binds[@]}" \
    /usr/local/sbin/lab-init || status=$?
done
exit $status
