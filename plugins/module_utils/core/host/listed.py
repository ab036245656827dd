# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The devices as a build of llama.cpp lists them, and where its list and the facts disagree. Sizes are bytes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..sizes import human

_MIB = 1 << 20
# common/arg.cpp, --list-devices: name, description, memory
_LINE = re.compile(
    r"^ {2}(?P<name>[A-Za-z]+\d+): (?P<text>.{1,200}) \((?P<total>\d{1,9}) MiB, (?P<free>\d{1,9}) MiB free\)$"
)
_BACKENDS = {"CUDA": "cuda", "ROCm": "hip", "Vulkan": "vulkan", "RPC": "rpc"}
_TOLERANCE = 20  # one part of so many; a driver keeps some memory for itself


def parse(output: str) -> list[dict[str, Any]]:
    """`[{name, backend, description, total, free}]` of an output of `llama-server --list-devices`."""
    found = []
    for match in filter(None, map(_LINE.match, output.splitlines())):
        kind = match["name"].rstrip("0123456789")
        found.append(
            {
                "name": match["name"],
                "backend": _BACKENDS.get(kind, kind.lower()),
                "description": match["text"],
                "total": int(match["total"]) * _MIB,
                "free": int(match["free"]) * _MIB,
            }
        )
    return found


def differences(devices: Sequence[Mapping[str, Any]], listed: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sentences about what a build sees otherwise than the facts.

    :param devices: those a process can use (`gpu.usable`); :param listed: as `parse` gives them.
    """
    mine = Counter(device["backend"] for device in devices)
    theirs = Counter(device["backend"] for device in listed)
    found = []
    for backend in sorted(mine):
        here = [device["total"] for device in devices if device["backend"] == backend]
        there = [device["total"] for device in listed if device["backend"] == backend]
        if not there:
            found.append(
                f"The active build lists none of the {mine[backend]} {backend} devices: it was built for another "
                "backend, or cannot load the driver."
            )
        elif mine[backend] != theirs[backend]:
            found.append(f"The active build lists {theirs[backend]} {backend} devices, the host has {mine[backend]}.")
        else:
            pairs = zip(sorted(here), sorted(there))
            found += [
                f"A {backend} device has {human(one)} by its driver and {human(other)} by the active build."
                for one, other in pairs
                if abs(one - other) > one // _TOLERANCE
            ]
    return found
