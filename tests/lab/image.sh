#!/usr/bin/env bash
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# image.sh [SUITE] - print the folder of a small Debian with systemd, sshd and Python; build it if it is not there.
#
# LAB_IMAGES           where images are kept (below the user's cache folder)
# LAB_PACKAGES         further packages, separated by commas
# LAB_MIRROR, LAB_SECURITY_MIRROR   where packages come from (the sites this machine's apt uses)
set -euo pipefail
shopt -s inherit_errexit

suite=${1:-bookworm}
cache=${LAB_IMAGES:-${XDG_CACHE_HOME:-$HOME/.cache}/llamaops-test/images}
packages=systemd,systemd-sysv,libpam-systemd,dbus,dbus-user-session,openssh-server,python3,python3-apt
packages+=,iproute2,iputils-ping,sudo,ca-certificates${LAB_PACKAGES:+,$LAB_PACKAGES}
# what makes no sense in a container, or would start apt in the middle of a test
masked=(
  systemd-firstboot.service systemd-sysctl.service systemd-modules-load.service systemd-remount-fs.service
  dev-hugepages.mount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount
  sys-fs-fuse-connections.mount console-getty.service container-getty@.service getty.target
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
)

site() { # PATTERN: the first Debian site of this machine's apt whose release matches
  # shellcheck disable=SC2016  # apt expands these, not the shell
  apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 'Origin: Debian' |
    awk -v wanted="$1" '$2 ~ wanted { print $1; exit }'
}

build() { # FOLDER
  local mirror security scratch
  mirror=${LAB_MIRROR:-$(site '^[a-z]+$')}
  security=${LAB_SECURITY_MIRROR:-$(site -security)}
  mirror=${mirror:-http://deb.debian.org/debian} security=${security:-http://deb.debian.org/debian-security}

  scratch=$(mktemp -d) # in memory: dpkg syncs every file, which takes three times as long on a disk
  # shellcheck disable=SC2064  # the folder of now
  trap "umount '$scratch'; rmdir '$scratch'" EXIT
  mount -t tmpfs -o size=2g,mode=755 lab-image "$scratch"

  { # hosts reach the sites as this machine does
    apt-config dump | grep -Ei '^Acquire::(http::Proxy|https::Proxy|Check-)' || true
    echo 'Acquire::Languages "none";'
    echo 'APT::Install-Recommends "false";'
  } >"$scratch/apt.conf"

  # shellcheck disable=SC2016  # mmdebstrap gives the hooks their $1
  TMPDIR=$scratch mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" \
    --aptopt="$scratch/apt.conf" --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --customize-hook='rm -f "$1"/etc/ssh/ssh_host_* "$1"/var/lib/dbus/machine-id; : >"$1"/etc/machine-id' \
    --customize-hook='echo LANG=C.UTF-8 >"$1"/etc/default/locale' \
    --customize-hook="chroot \"\$1\" systemctl -q mask ${masked[*]}" \
    --customize-hook='chroot "$1" systemctl -q enable ssh.service' \
    "$suite" - \
    "deb $mirror $suite main" "deb $mirror $suite-updates main" "deb $security $suite-security main" |
    tar --numeric-owner --xattrs --xattrs-include='*' -xf - -C "$1"
}

key=$({ cat "$0"; echo "$suite $packages ${LAB_MIRROR:-}"; } | sha256sum | cut -c1-12)
image=$cache/$suite-$key
mkdir -p "$cache"
exec 9>"$image.lock"
flock 9
if [ ! -d "$image" ]; then
  rm -rf --one-file-system "$image.new"
  mkdir "$image.new"
  build "$image.new" >&2
  mv "$image.new" "$image"
fi
echo "$image"
