# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that use a GPU of AMD or Intel, from the kernel's own books. Sizes are bytes.

Keys of fdinfo: the kernel's Documentation/gpu/drm-usage-stats.rst.
"""

from __future__ import annotations

import glob
import os
import re
from typing import Any

from ..files import read_text

_SIZE = re.compile(
    r"drm-(?P<kind>total|resident|memory)-(?P<region>vram\d*|local\d*):\s*(?P<count>\d{1,15})\s*(?P<unit>KiB|MiB)?"
)
_UNITS = {None: 1, "KiB": 1 << 10, "MiB": 1 << 20}
_BEST = ("resident", "memory", "total")  # what lies in the GPU now, before what was asked for


def clients(root: str = "/") -> dict[str, list[dict[str, Any]]]:
    """PCI address -> `[{pid, kind: graphics, used}]`, of the processes that this one may look into."""
    found: dict[str, dict[int, int]] = {}
    seen: set[tuple[str, str]] = set()
    for link in glob.glob(os.path.join(glob.escape(root), "proc/[0-9]*/fd/*")):
        try:
            if not os.readlink(link).startswith("/dev/dri/"):
                continue
            folder, number = os.path.split(link)
            text = read_text(os.path.join(os.path.dirname(folder), "fdinfo", number)) or ""
        except OSError:
            continue  # it ended meanwhile, or belongs to somebody else
        _count(text, int(os.path.basename(os.path.dirname(folder))), found, seen)
    return {
        address: [{"pid": pid, "kind": "graphics", "used": used} for pid, used in sorted(pids.items())]
        for address, pids in found.items()
    }


def _count(text: str, pid: int, found: dict[str, dict[int, int]], seen: set[tuple[str, str]]) -> None:
    """Add one open file to its process; a client with several open files counts once."""
    values = dict(line.split(":", 1) for line in text.splitlines() if line.startswith("drm-") and ":" in line)
    address, client = values.get("drm-pdev", "").strip().lower(), values.get("drm-client-id", "").strip()
    if not address or (address, client) in seen:
        return
    seen.add((address, client))
    sizes: dict[str, int] = {}
    for match in _SIZE.finditer(text):
        sizes[match["kind"]] = sizes.get(match["kind"], 0) + int(match["count"]) * _UNITS[match["unit"]]
    used = next((sizes[kind] for kind in _BEST if kind in sizes), 0)
    pids = found.setdefault(address, {})
    pids[pid] = pids.get(pid, 0) + used
