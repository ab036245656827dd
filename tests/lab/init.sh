#!/bin/sh
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The first process of a lab host. systemd-nspawn mounts cgroup v1 controllers and network sysctls read-only; made
# writable before systemd looks, limits of units are enforced. Only the host's own groups and network are visible here.
for controller in cpu cpuacct cpu,cpuacct blkio memory devices pids; do
  [ ! -f "/sys/fs/cgroup/$controller/cgroup.procs" ] || mount -o remount,bind,rw "/sys/fs/cgroup/$controller"
done
mount --bind /proc/sys/net /proc/sys/net && mount -o remount,bind,rw /proc/sys/net
exec /sbin/init "$@"
