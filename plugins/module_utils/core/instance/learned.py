# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a driver takes for itself, seen at earlier starts: used by the next new plan, never by one that stands.

One small file below the cache of a root; deleting it only makes plans cautious again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..files import read_json, write_json
from ..tree import Tree

SCHEMA = 1
_LARGEST = 64 << 30  # bytes; more was not learned from a driver
_MOST = 256  # kinds of devices, drivers and builds that are remembered


def path(tree: Tree) -> str:
    return tree.path("cache", "driver-context.json")


def recall(tree: Tree, devices: Sequence[Mapping[str, Any]], driver: str | None, build: str) -> dict[str, int]:
    """Bytes by device id, for those that were seen with this driver and build."""
    seen = _read(tree)
    known = {str(device["id"]): seen.get(_key(device, driver, build)) for device in devices}
    return {name: size for name, size in known.items() if size is not None}


def remember(
    tree: Tree, devices: Sequence[Mapping[str, Any]], driver: str | None, build: str, overheads: Mapping[str, int]
) -> bool:
    """Keep the most that was seen. True if something new was learned.

    :param overheads: bytes by device id.
    """
    seen = _read(tree)
    before = dict(seen)
    for device in devices:
        size = overheads.get(str(device["id"]))
        if size is not None and 0 <= size < _LARGEST:
            key = _key(device, driver, build)
            seen[key] = max(size, seen.pop(key, 0))  # the latest comes last
    if seen == before:
        return False
    write_json(path(tree), {"schema": SCHEMA, "bytes": dict(list(seen.items())[-_MOST:])})
    return True


def _key(device: Mapping[str, Any], driver: str | None, build: str) -> str:
    return "|".join((str(device.get("name") or device.get("backend")), driver or "", build))


def _read(tree: Tree) -> dict[str, int]:
    """What is remembered; nothing where the file is missing, damaged or of another schema."""
    try:
        document = read_json(path(tree))
    except (OSError, ValueError):
        return {}
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        return {}
    sizes = document.get("bytes")
    if not isinstance(sizes, dict):
        return {}
    return {
        str(key): size
        for key, size in sizes.items()
        if isinstance(size, int) and not isinstance(size, bool) and 0 <= size < _LARGEST
    }
