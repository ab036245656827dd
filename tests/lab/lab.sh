#!/usr/bin/env bash
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# lab.sh - Debian test hosts with a real systemd, in containers of systemd-nspawn on a network of their own.
#
#   lab.sh up [NAME[:SUITE[+PACKAGE,...]]...]
#                                make the network and boot these hosts; returns when all of them run
#   lab.sh remove                remove every host
#   lab.sh down                  remove every host and the network
#   lab.sh inventory             the running hosts as an Ansible inventory (YAML)
#   lab.sh gw COMMAND...         run a command in the network of the lab
#   lab.sh sh NAME COMMAND...    run a command in a host
#   lab.sh reboot NAME           reboot a host; returns when it runs again
#
# Everything lies in network namespaces: this machine gets no interface, no route and no firewall rule.
# Hosts reach out through slirp4netns. Needs root and the packages that run.sh names.
set -euo pipefail
shopt -s inherit_errexit
umask 022

LAB=${LAB:-llab}                   # prefix of every object made; at most 6 characters
LAB_STATE=${LAB_STATE:-/var/tmp/$LAB}
LAB_SUBNET=${LAB_SUBNET:-10.231.7} # a /24
LAB_TIMEOUT=${LAB_TIMEOUT:-90}     # seconds for a boot
# LAB_BINDS="FOLDER:PLACE ..."     folders of this machine that hosts may read
LAB_CA=${LAB_CA-${SSL_CERT_FILE:-}} # certificates the hosts shall trust
export LAB LAB_STATE
here=$(cd "$(dirname "$0")" && pwd)
gateway=$LAB-gw
hosts=$LAB_STATE/hosts

die() { echo "lab: $*" >&2; exit 1; }
names() { ls "$hosts" 2>/dev/null || true; }

# Is the process in this pid file alive under this name? A zombie nobody has reaped yet is not.
alive() { # PID-FILE NAME
  local pid
  pid=$(cat "$1" 2>/dev/null) && grep -qs "^$pid ($2) [^ZX]" "/proc/$pid/stat"
}
runs() { alive "$hosts/$1/pid" "$LAB-$1"; }
child() { pgrep -o -P "$1"; }
init_of() { # the host's own PID 1: keeper -> systemd-nspawn -> init
  local nspawn
  nspawn=$(child "$(cat "$hosts/$1/pid")") && child "$nspawn"
}
inside() { # NAME COMMAND...
  local init
  init=$(init_of "$1") && nsenter -t "$init" -a -r -w -- "${@:2}"
}

# In the background: without the descriptors that this script was given, such as a lock that its caller holds.
apart() { # COMMAND...
  local fd
  for fd in "/proc/$BASHPID/fd"/*; do
    fd=${fd##*/}
    ((fd < 3)) || exec {fd}>&-
  done
  exec setsid "$@"
}

# ---- network
network_up() {
  if [ ! -e "$LAB_STATE/network" ]; then # absent or half made
    network_down
    ip netns add "$gateway"
    ip -n "$gateway" link set lo up
    ip -n "$gateway" link add br0 type bridge forward_delay 0
    ip -n "$gateway" addr add "$LAB_SUBNET.1/24" dev br0
    ip -n "$gateway" link set br0 up
    touch "$LAB_STATE/network"
  fi
  alive "$LAB_STATE/slirp.pid" slirp4netns || way_out
}

way_out() {
  local device
  device=$(ip -o route show default | sed -n '1s/.* dev \([^ ]*\).*/\1/p')
  apart slirp4netns --netns-type=path --configure --disable-host-loopback \
    --mtu="$(ip -o link show dev "${device:-lo}" | sed -E 's/.* mtu ([0-9]+) .*/\1/')" "/run/netns/$gateway" tap0 \
    </dev/null >"$LAB_STATE/slirp.log" 2>&1 &
  echo $! >"$LAB_STATE/slirp.pid"
  until ip -n "$gateway" addr show tap0 2>/dev/null | grep -q 'inet '; do
    alive "$LAB_STATE/slirp.pid" slirp4netns || kill -0 $! 2>/dev/null || die "$(cat "$LAB_STATE/slirp.log")"
    sleep 0.05
  done
  ip netns exec "$gateway" sysctl -q -w net.ipv4.ip_forward=1
  ip netns exec "$gateway" nft 'table ip lab { chain out { type nat hook postrouting priority 100; oifname tap0 masquerade; }; }'
}

network_down() {
  ! alive "$LAB_STATE/slirp.pid" slirp4netns || kill "$(cat "$LAB_STATE/slirp.pid")"
  rm -f "$LAB_STATE/slirp.pid" "$LAB_STATE/network"
  [ ! -e "/run/netns/$gateway" ] || ip netns del "$gateway"
}

space_down() { # NAME: the kernel ends a namespace some time later; its link, whose name the next host needs, ends now
  ip -n "$gateway" link del "to-$1" 2>/dev/null || true
  [ ! -e "/run/netns/$LAB-$1" ] || ip netns del "$LAB-$1"
}

host_network() { # NAME ADDRESS: it outlives reboots, and nothing in the host configures it
  local space=$LAB-$1
  space_down "$1"
  ip netns add "$space"
  ip link add host0 netns "$space" type veth peer name "to-$1" netns "$gateway"
  ip -n "$gateway" link set "to-$1" master br0 up
  ip -n "$space" link set lo up
  ip -n "$space" addr add "$2/24" dev host0
  ip -n "$space" link set host0 up
  ip -n "$space" route add default via "$LAB_SUBNET.1"
}

# ---- control groups: one per host and hierarchy, below the group this script runs in. Without, all hosts
# would share one, and their systemds fight over it. /sys/fs/cgroup itself is never given to a host.
groups_make() { # NAME
  local controllers path mount folder
  : >"$hosts/$1/cgroups"
  while IFS=: read -r _ controllers path; do
    case $controllers in
      '') mount=/sys/fs/cgroup/unified; [ -d $mount ] || mount=/sys/fs/cgroup ;;
      cpuset | freezer) continue ;; # systemd leaves them alone
      *) mount=/sys/fs/cgroup/${controllers#name=} ;;
    esac
    mountpoint -q "$mount" || continue
    folder=$mount${path%/}/$LAB-$1
    mkdir -p "$folder"
    echo "$folder" >>"$hosts/$1/cgroups"
  done </proc/self/cgroup
}

groups_remove() { # NAME; a zombie keeps its group for a moment
  local folder
  while read -r folder; do
    for _ in 1 2 3 4 5 6 7 8 9 10; do
      [ -d "$folder" ] || break
      find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
    done
  done <"$hosts/$1/cgroups"
}

# ---- hosts
free_address() {
  local last
  for last in $(seq 11 250); do
    grep -qsx "$LAB_SUBNET.$last" "$hosts"/*/address || { echo "$LAB_SUBNET.$last"; return; }
  done
  die "no address left in $LAB_SUBNET.0/24"
}

fill() { # NAME ROOT: what differs from the image
  local name=$1 root=$2 index
  echo "$name" >"$root/etc/hostname"
  printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$name" >"$root/etc/hosts"
  rm -f "$root/etc/resolv.conf"
  echo 'nameserver 10.0.2.3' >"$root/etc/resolv.conf" # slirp4netns answers there
  tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
  ssh-keygen -q -t ed25519 -N '' -C "root@$name" -f "$root/etc/ssh/ssh_host_ed25519_key"
  install -d -m 700 "$root/root/.ssh"
  cp "$LAB_STATE/key.pub" "$root/root/.ssh/authorized_keys"
  if [ -n "$LAB_CA" ]; then
    cp "$LAB_CA" "$root/etc/ssl/certs/ca-certificates.crt"
    index=${PIP_INDEX_URL:+index-url = $PIP_INDEX_URL}
    printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n%s\n' "$index" >"$root/etc/pip.conf"
  fi
  install -m 755 "$here/init.sh" "$root/usr/local/sbin/lab-init"
}

host_up() { # NAME[:SUITE[+PACKAGE,...]]
  local name=${1%%:*} suite packages=${LAB_PACKAGES:-} folder image
  suite=${1#"$name"}
  suite=${suite#:}
  [[ $suite != *+* ]] || packages=${suite#*+}
  folder=$hosts/$name
  [[ $name =~ ^[a-z][a-z0-9-]{0,11}$ ]] || die "$name cannot name a host"
  ! runs "$name" || return 0
  if [ ! -e "$folder/filled" ]; then
    host_down "$name"
    mkdir -p "$folder"/{root,upper,work}
    free_address >"$folder/address"
    image=$(LAB_PACKAGES=$packages "$here/image.sh" ${suite:+"${suite%%+*}"})
    mount -t overlay "$LAB-$name" -o "lowerdir=$image,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
    fill "$name" "$folder/root"
    host_network "$name" "$(cat "$folder/address")"
    touch "$folder/filled"
  fi
  groups_make "$name"
  apart "$here/keep.sh" "$name" </dev/null >"$folder/console.log" 2>&1 &
  echo $! >"$folder/pid"
}

host_wait() { # NAME [OLD-INIT]: until it runs, with another init than the old one
  local name=$1 state='' end=$((SECONDS + LAB_TIMEOUT))
  while [ $SECONDS -lt $end ]; do
    sleep 0.05
    kill -0 "$(cat "$hosts/$name/pid")" 2>/dev/null || die "$name did not start: $(tail -n 20 "$hosts/$name/console.log")"
    [ "$(init_of "$name")" != "${2:-}" ] || continue
    state=$(inside "$name" timeout "$LAB_TIMEOUT" systemctl is-system-running --wait 2>/dev/null) || true
    case $state in
      running) return ;;
      degraded) inside "$name" systemctl --failed --no-pager >&2; die "$name: a unit failed" ;;
    esac
  done
  die "$name is not up after $LAB_TIMEOUT s: $state"
}

host_down() { # NAME
  local folder=$hosts/$1 init
  [ -d "$folder" ] || return 0
  init=$(init_of "$1" 2>/dev/null) && kill -KILL "$init"
  for _ in $(seq 100); do runs "$1" || break; sleep 0.05; done
  ! runs "$1" || kill -KILL "$(cat "$folder/pid")"
  [ ! -e "$folder/cgroups" ] || groups_remove "$1"
  space_down "$1"
  ! mountpoint -q "$folder/root" || umount "$folder/root"
  rm -rf --one-file-system "$folder"
}

inventory() {
  local name
  cat <<YAML
all:
  vars:
    ansible_user: root
    ansible_python_interpreter: /usr/bin/python3
    ansible_ssh_private_key_file: $LAB_STATE/key
    ansible_ssh_common_args: -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR
  hosts:
YAML
  for name in $(names); do echo "    $name: {ansible_host: $(cat "$hosts/$name/address")}"; done
}

lock() {
  mkdir -p "$hosts"
  exec 9>"$LAB_STATE.lock"
  flock 9
}

command=${1:-help}
[ $# = 0 ] || shift
case $command in
  up)
    lock
    [ -e "$LAB_STATE/key" ] || ssh-keygen -q -t ed25519 -N '' -C "$LAB" -f "$LAB_STATE/key"
    network_up
    for host in "$@"; do host_up "$host"; done
    for host in "$@"; do host_wait "${host%%:*}"; done
    ;;
  remove | down)
    lock
    for host in $(names); do host_down "$host"; done
    [ "$command" = remove ] || { network_down; rm -rf --one-file-system "$LAB_STATE" "$LAB_STATE.lock"; }
    ;;
  inventory) inventory ;;
  gw) exec nsenter --net="/run/netns/$gateway" "$@" ;;
  sh) inside "$@" ;;
  reboot)
    old=$(init_of "$1")
    inside "$1" systemctl reboot || true
    host_wait "$1" "$old"
    ;;
  *) sed -n '6,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0" >&2; exit 2 ;;
esac
