# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Intel GPUs with memory of their own, as the kernel's drivers xe and i915 show them below /sys. Sizes are bytes."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from typing import Any

from ..files import read_text
from .amd import pcie

# xe: one file a tile; i915: one file a card
_SIZES = ("tile*/physical_vram_size_bytes", "drm/card*/lmem_total_bytes")


def read(root: str, address: str, clients: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any] | None:
    """The facts of the GPU at this PCI address; None when it has no memory of its own.

    What is used is what the processes say that this one may look into, so `free` is an upper bound.

    :param clients: processes by PCI address, as `drm.clients` reads them.
    """
    folder = os.path.join(root, "sys/bus/pci/devices", address)
    total = _sum(folder)
    if not total:
        return None
    processes = clients.get(address, [])
    used = sum(entry["used"] for entry in processes)
    return {
        "id": f"pci:{address}",
        "name": f"Intel GPU {_text(folder, 'device')}".strip(),
        "vendor": "intel",
        "backend": "vulkan",
        "index": None,
        "pci": address,
        "total": total,
        "used": used,
        "free": max(total - used, 0),
        "unified": False,
        "compute_capability": None,
        "mig": None,
        "mig_devices": [],
        "pcie": pcie(folder),
        "processes": processes,
        "reasons": {"used": "the kernel shows no total; this is what processes say that may be looked into"},
    }


def _sum(folder: str) -> int:
    """Bytes of memory: of all tiles, or of the one card."""
    for pattern in _SIZES:
        words = [_text(*os.path.split(path)) for path in glob.glob(os.path.join(glob.escape(folder), pattern))]
        sizes = [int(word) for word in words if word.isdigit()]
        if sizes:
            return sum(sizes)
    return 0


def _text(folder: str, name: str) -> str:
    try:
        return (read_text(os.path.join(folder, name)) or "").strip()
    except OSError:
        return ""
