# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the NVIDIA GPUs of a host are connected: NVLink, and the nearest thing on the bus that two of them share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .nvml_ask import Ask
from .nvml_device import pci_address

# nvml.h: nvmlGpuTopologyLevel_t
_ANCESTORS = {0: "internal", 10: "single", 20: "multiple", 30: "hostbridge", 40: "node", 50: "system"}
# nvml.h: NVML_NVLINK_VERSION_*
_VERSIONS = {1: "1.0", 2: "2.0", 3: "2.2", 4: "3.0", 5: "3.1", 6: "4.0", 7: "5.0", 8: "6.0"}
_MAX_LINKS, _SWITCH = 36, 2
_READ, _OK = 0, 0


def links(nvml: Any, handle: Any) -> dict[str, Any] | None:
    """`{active, version, switch, peers}` of one GPU: `peers` is links by PCI address; None without NVLink."""
    ask = Ask(nvml)
    active, switched, version = 0, 0, None
    peers: dict[str, int] = {}
    for number in range(_MAX_LINKS):
        state = ask("state", "nvmlDeviceGetNvLinkState", handle, number)
        if state is None:
            if not number:
                return None
            break
        if not state:
            continue
        active += 1
        version = version or ask("version", "nvmlDeviceGetNvLinkVersion", handle, number)
        if ask("type", "nvmlDeviceGetNvLinkRemoteDeviceType", handle, number) == _SWITCH:
            switched += 1
            continue
        remote = ask("remote", "nvmlDeviceGetNvLinkRemotePciInfo", handle, number)
        address = pci_address(remote.busId) if remote else None
        if address:
            peers[address] = peers.get(address, 0) + 1
    known = _VERSIONS.get(version) if version else None
    return {"active": active, "version": known, "switch": switched > 0, "peers": peers}


def pairs(nvml: Any, devices: Sequence[Mapping[str, Any]], handles: Sequence[Any]) -> list[dict[str, Any]]:
    """`[{devices: [id, id], ancestor, p2p, links}]`; `links` counts NVLinks, direct or by a switch."""
    found = []
    for first in range(len(devices)):
        for second in range(first + 1, len(devices)):
            ask = Ask(nvml)
            ancestor = ask("ancestor", "nvmlDeviceGetTopologyCommonAncestor", handles[first], handles[second])
            peer = ask("p2p", "nvmlDeviceGetP2PStatus", handles[first], handles[second], _READ)
            found.append(
                {
                    "devices": [devices[first]["id"], devices[second]["id"]],
                    "ancestor": None if ancestor is None else _ANCESTORS.get(ancestor, str(ancestor)),
                    "p2p": None if peer is None else peer == _OK,
                    "links": _between(devices[first], devices[second]),
                }
            )
    return found


def _between(one: Mapping[str, Any], other: Mapping[str, Any]) -> int:
    mine, theirs = one["nvlink"], other["nvlink"]
    if not mine or not theirs:
        return 0
    if mine["switch"] and theirs["switch"]:
        return min(int(mine["active"]), int(theirs["active"]))
    return int(mine["peers"].get(other["pci"], 0))
