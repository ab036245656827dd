# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a build that was made elsewhere can run on this host: by machine, C library and CPU. Pure but for `here`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInput
from ..host import cgroup, machine
from . import recipe

_LIBC = re.compile(r"(.*)-(glibc|musl)-([0-9.]+)")


@dataclass(frozen=True)
class Host:
    """What counts of a host: `uname -m`, the C library and its version, the flags of the CPU."""

    machine: str
    libc: str
    libc_version: str
    flags: frozenset[str]


def here(root: str = "/") -> Host:
    """This host."""
    libc = machine.libc(root)
    flags = machine.cpu(root, cgroup.limits(root))["flags"]
    return Host(os.uname().machine, libc["name"] or "", libc["version"] or "", frozenset(flags))


def check(made: Mapping[str, Any], host: Host) -> None:
    """Refuse a build that cannot run here.

    :param made: the recipe of the build.
    :raises InvalidInput: names what the build needs and what this host has.
    """
    found = _LIBC.fullmatch(str(made.get("target")))
    built_on, libc, version = found.groups() if found else (str(made.get("target")), "", "")
    if built_on.partition("-")[0] != host.machine:
        raise InvalidInput(
            f"The build is for {built_on.partition('-')[0]} and this host is {host.machine}.",
            "Let a host of this kind build: the role llama_build does so unless llama_build_builder says otherwise.",
        )
    if libc and (libc != host.libc or _number(version) > _number(host.libc_version)):
        has = f"{host.libc} {host.libc_version}".strip() or "another C library"
        raise InvalidInput(
            f"The build was made for {libc} {version} ({built_on}), and this host has {has}.",
            "Build on the oldest distribution of those that share a build, or let this host have a builder of its own.",
        )
    missing = sorted(recipe.needed_flags(made) - host.flags)
    if missing:
        raise InvalidInput(
            f"The build is for CPUs with {', '.join(missing)}, which this CPU lacks (it was built with "
            f"cpu: {made.get('cpu')}).",
            "Build with cpu: portable, or with cpu: native on each host.",
            missing=missing,
        )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part)
