# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backend a build is for, and why. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInput
from ..host import gpu
from ..host.gpu import Seen

GPU = {"cuda": "CUDA", "hip": "ROCm", "vulkan": "Vulkan"}
"""The backends of GPUs, and how llama.cpp names their devices: `CUDA0`, `ROCm0`, `Vulkan0`."""
ALL = ("cpu", *GPU)


@dataclass(frozen=True)
class Choice:
    """A backend, and the sentence that says why it is this one."""

    backend: str
    reason: str


def choose(asked: str, seen: Seen, active: str | None = None, expected: int | None = None) -> Choice:
    """The backend to build. `auto` follows the GPUs of the host and never guesses that one does not count.

    :param active: the backend of the active build; a host that runs a GPU build does not become a CPU host by itself.
    :param expected: how many GPUs the inventory says the host has; 0 states that it serves from its CPU.
    :raises InvalidInput: an unknown backend, or `auto` where only a person can tell.
    """
    if asked in ALL:
        return Choice(asked, f"backend: {asked} was asked for.")
    if asked != "auto":
        raise InvalidInput(f"There is no backend {asked!r}.", f"Use one of: auto, {', '.join(ALL)}.")
    usable = gpu.usable(seen.devices)
    if usable:
        return Choice(usable[0]["backend"], _sentence(f"This host has {_names(usable)}.", seen.reason))
    if expected == 0:
        return Choice("cpu", _sentence("The inventory says that this host has no GPU to use.", seen.reason))
    silent = [card for card in seen.bus if card.own and (card.wanted or not card.driver)]
    if silent:
        raise InvalidInput(
            f"This host has {', '.join(map(str, silent))}, and no driver answers for it. {seen.reason or ''}".strip(),
            "Repair the driver. Or say which backend to build: cuda, hip, vulkan, or cpu to leave the GPU unused.",
        )
    if active in GPU:
        raise InvalidInput(
            f"The active build is one for {active}, and this host shows no GPU now. {seen.reason or ''}".strip(),
            "Find out where the GPU went; or say backend: cpu (or llama_gpus: 0) to make this a CPU host.",
        )
    return Choice("cpu", seen.reason or "This host shows no GPU.")


def _names(devices: Sequence[Mapping[str, Any]]) -> str:
    names = [str(device["name"] or device["id"]) for device in devices]
    return f"{len(names)} GPU{'s' if len(names) > 1 else ''} ({', '.join(names)})"


def _sentence(first: str, second: str | None) -> str:
    return f"{first} {second}" if second else first
