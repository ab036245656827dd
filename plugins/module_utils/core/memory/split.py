# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dividing the layers among devices: whole numbers that sum to the layers on devices, the output among them.

A share counts layers, so a device that gets the output, or whose layers are heavier, gets fewer of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from . import cache
from .launch import Launch, context
from .layers import Placement
from .plan import Model
from .table import Device

_STEPS = 40  # halvings of the fill: a millionth of a millionth of a device


def slot_costs(model: Model, launch: Launch) -> list[int]:
    """Bytes that move with every layer, and with the output as the last: weights, cache and state; all exact."""
    kept_for = replace(launch, tensor_split=(), gpu_layers=-1)
    if kept_for not in model.costs:
        model.costs[kept_for] = _slot_costs(model, launch)
    return model.costs[kept_for]


def _slot_costs(model: Model, launch: Launch) -> list[int]:
    hp = model.hparams
    count = len(hp.layers)
    # one device a layer: the bytes by device are the bytes by layer
    alone = Placement(tuple(range(count)), count, count + 1, True)
    ctx = context(hp, launch)
    placed = model.weights(launch, alone, ("cuda",) * (count + 1)).bytes
    kept = cache.sizes(hp, launch, ctx, alone)
    state = cache.recurrent_sizes(hp, launch, ctx, alone)
    return [placed[slot] + kept[slot] + state[slot] for slot in range(count + 1)]


def balanced(costs: Sequence[int], rooms: Sequence[int], start: int = 0) -> tuple[int, ...] | None:
    """Slots of each device, in order, so that the fullest is as empty as can be; None where there is no room.

    :param costs: bytes of every slot; :param rooms: bytes that each device has for them; :param start: slots before
        stay on the host.
    """
    slots = costs[start:]
    if _fill(slots, rooms, 1.0) is None:
        return None
    low, high = 0.0, 1.0
    for _step in range(_STEPS):
        middle = (low + high) / 2
        if _fill(slots, rooms, middle) is None:
            low = middle
        else:
            high = middle
    return _fill(slots, rooms, high)


def _fill(slots: Sequence[int], rooms: Sequence[int], share: float) -> tuple[int, ...] | None:
    """Slots of each device when each is filled to a share of its room, every device getting one at least."""
    found, at = [], 0
    for number, room in enumerate(rooms):
        left, taken = int(room * share), 0
        behind = len(rooms) - number - 1
        while at < len(slots) - behind and slots[at] <= left:
            left -= slots[at]
            at, taken = at + 1, taken + 1
        if not taken:
            return None
        found.append(taken)
    return tuple(found) if at == len(slots) else None


def divide(model: Model, launch: Launch, devices: Sequence[Device], fixed: Sequence[int]) -> Launch | None:
    """The launch with layers divided; None where there is no room.

    :param fixed: bytes of each device that do not move with layers (compute, context, headroom).
    """
    layers = len(model.hparams.layers)
    wanted = layers + 1 if launch.gpu_layers < 0 else min(launch.gpu_layers, layers + 1)
    rooms = [max(device.capacity - taken, 0) for device, taken in zip(devices, fixed)]
    split = balanced(slot_costs(model, launch), rooms, layers + 1 - wanted)
    return None if split is None else replace(launch, gpu_layers=wanted, tensor_split=split)
