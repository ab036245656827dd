# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AMD GPUs as the kernel's driver amdgpu shows them below /sys. Sizes are bytes.

Files: the kernel's Documentation/gpu/amdgpu/driver-misc.rst; nodes and links: its drivers/gpu/drm/amd/amdkfd.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..files import read_text

_XGMI = 11  # CRAT_IOLINK_TYPE_XGMI
# Graphics cores of processors: they use the memory of the host.
_INTEGRATED = (
    "gfx902", "gfx909", "gfx90c", "gfx1013", "gfx1033", "gfx1035", "gfx1036", "gfx1103", "gfx1150", "gfx1151",
    "gfx1152", "gfx1153",
)  # fmt: skip
_SMALL = 16  # SIMDs; a graphics core with fewer only draws the desktop


def read(root: str, address: str, clients: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any] | None:
    """The facts of the GPU at this PCI address; None when the driver does not show its memory.

    :param clients: other processes by PCI address, as `drm.clients` reads them.
    """
    folder = os.path.join(root, "sys/bus/pci/devices", address)
    total, used = _number(folder, "mem_info_vram_total"), _number(folder, "mem_info_vram_used")
    if total is None:
        return None
    node = _node(root, address)
    gfx = gfx_version(node.get("gfx_target_version", 0))
    gtt = {"total": _number(folder, "mem_info_gtt_total"), "used": _number(folder, "mem_info_gtt_used")}
    unique = _line(folder, "unique_id").lower().removeprefix("0x")
    unified = gfx in _INTEGRATED
    if unified:  # the part that the firmware set aside, and what the driver may take of the host's memory
        total, used = total + (gtt["total"] or 0), (used or 0) + (gtt["used"] or 0)
    limit, load = _power_cap(folder), _number(folder, "gpu_busy_percent")
    return {
        "id": f"GPU-{unique}" if unique.strip("0") else f"pci:{address}",
        "name": _name(root, folder, gfx),
        "vendor": "amd",
        "backend": "hip",
        "index": None,
        "pci": address,
        "total": total,
        "used": used,
        "free": None if used is None else max(total - used, 0),
        "gtt": gtt,
        "unified": unified,
        "compute_capability": gfx,
        "simds": node.get("simd_count"),
        "render": node.get("drm_render_minor"),
        "kfd_node": node.get("node"),
        "mig": None,
        "mig_devices": [],
        "pcie": pcie(folder),
        "power_limit_watts": limit,
        "utilization_percent": None if load is None else {"gpu": load, "memory": _number(folder, "mem_busy_percent")},
        "processes": _processes(root, node, clients.get(address, [])),
        "reasons": {} if node else {"compute_capability": "the kernel shows no KFD node for it"},
    }


def drawing_only(device: Mapping[str, Any]) -> bool:
    """Whether this is a graphics core that no model should be put on."""
    return bool(device["unified"] and device["simds"] is not None and device["simds"] < _SMALL)


def gfx_version(number: int) -> str | None:
    """90402 -> gfx942, 110501 -> gfx1151: two decimal digits each for minor and stepping, written in hex."""
    return f"gfx{number // 10000}{number // 100 % 100:x}{number % 100:x}" if number >= 10000 else None


def topology(root: str, devices: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """`[{devices: [id, id], ancestor, p2p, links}]` of pairs that xGMI connects."""
    by_node = {device["kfd_node"]: device for device in devices if device.get("kfd_node") is not None}
    found = []
    for number, device in sorted(by_node.items()):
        pattern = os.path.join(glob.escape(root), f"sys/class/kfd/kfd/topology/nodes/{number}/io_links/*/properties")
        links = [_properties(path) for path in sorted(glob.glob(pattern))]
        for other in sorted({link["node_to"] for link in links if link.get("type") == _XGMI and "node_to" in link}):
            if other in by_node and other > number:
                count = sum(1 for link in links if link.get("type") == _XGMI and link.get("node_to") == other)
                pair = [device["id"], by_node[other]["id"]]
                found.append({"devices": pair, "ancestor": None, "p2p": True, "links": count})
    return found


def pcie(folder: str) -> dict[str, Any]:
    """Generation and width of the link, of a device's folder below /sys."""
    return {
        "generation": _generation(_line(folder, "current_link_speed")),
        "generation_max": _generation(_line(folder, "max_link_speed")),
        "width": _number(folder, "current_link_width"),
        "width_max": _number(folder, "max_link_width"),
    }


def _generation(speed: str) -> int | None:
    """`16.0 GT/s PCIe` -> 4."""
    rates = {"2.5": 1, "5": 2, "5.0": 2, "8.0": 3, "8": 3, "16.0": 4, "16": 4, "32.0": 5, "32": 5, "64.0": 6, "64": 6}
    return rates.get(speed.partition(" ")[0])


def _node(root: str, address: str) -> dict[str, int]:
    """The properties of the KFD node of this PCI address, and its numbers `node` and `gpu`; empty without one."""
    domain, bus, slot, function = (int(part, 16) for part in re.split("[:.]", address))
    place = bus << 8 | slot << 3 | function
    for folder in sorted(glob.glob(os.path.join(glob.escape(root), "sys/class/kfd/kfd/topology/nodes/[0-9]*"))):
        found = _properties(os.path.join(folder, "properties"))
        if found.get("simd_count") and found.get("location_id") == place and found.get("domain", 0) == domain:
            gpu = _number(folder, "gpu_id") or 0
            return {**found, "node": int(os.path.basename(folder)), "gpu": gpu}
    return {}


def _properties(path: str) -> dict[str, int]:
    pairs = (line.split() for line in _line(*os.path.split(path)).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _processes(root: str, node: Mapping[str, int], drawing: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Who computes, from /sys/class/kfd/kfd/proc, and who else keeps something there."""
    found = []
    if node.get("gpu"):
        for path in sorted(glob.glob(os.path.join(glob.escape(root), f"sys/class/kfd/kfd/proc/*/vram_{node['gpu']}"))):
            folder, name = os.path.split(path)
            if os.path.basename(folder).isdigit():
                found.append({"pid": int(os.path.basename(folder)), "kind": "compute", "used": _number(folder, name)})
    known = {entry["pid"] for entry in found}
    return [*found, *(dict(entry) for entry in drawing if entry["pid"] not in known)]


def _name(root: str, folder: str, gfx: str | None) -> str:
    """The product: told by the board, or by libdrm's table of devices and revisions."""
    product = _line(folder, "product_name")
    if product:
        return product[:100]
    device, revision = (_line(folder, name).lower().removeprefix("0x") for name in ("device", "revision"))
    for line in _line(os.path.join(root, "usr/share/libdrm"), "amdgpu.ids").splitlines():
        parts = [part.strip() for part in line.split(",", 2)]
        if len(parts) == 3 and (parts[0].lower(), parts[1].lower().zfill(2)) == (device, revision.zfill(2)):
            return parts[2][:100]
    return f"AMD GPU 0x{device}" + (f" ({gfx})" if gfx else "")


def _power_cap(folder: str) -> float | None:
    """The limit in watts; the kernel writes microwatts."""
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), "hwmon/*/power1_cap"))):
        found = _number(*os.path.split(path))
        return None if found is None else found / 1e6
    return None


def _number(folder: str, name: str) -> int | None:
    word = _line(folder, name)
    return int(word) if word.isdigit() else None


def _line(folder: str, name: str) -> str:
    try:
        return (read_text(os.path.join(folder, name)) or "").strip()
    except OSError:
        return ""
