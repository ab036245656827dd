# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which layer lies on which device."""

from __future__ import annotations

import bisect
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import InvalidInput
from .hparams import Hparams
from .launch import Launch

HOST = -1  # the device number of the host


@dataclass(frozen=True)
class Placement:
    """Device number of every layer, and of the output; `HOST` where none."""

    layers: tuple[int, ...]
    output: int
    devices: int
    everything: bool  # all layers and the output are on devices

    def on(self, device: int) -> tuple[int, ...]:
        """The layers of a device."""
        return tuple(index for index, found in enumerate(self.layers) if found == device)


def _single(value: float) -> float:
    """Rounded to a C float, in which llama.cpp divides."""
    rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    return rounded


def place(hp: Hparams, launch: Launch, devices: int) -> Placement:
    """Follows llama_model_base::load_tensors (src/llama-model.cpp): layers are divided by the shares of tensor_split.

    :raises InvalidInput: tensor_split does not fit the devices.
    """
    count = len(hp.layers)
    wanted = count + 1 if launch.gpu_layers < 0 else launch.gpu_layers
    start, active = max(count + 1 - wanted, 0), min(wanted, count + 1) if devices else 0
    shares = _shares(launch.tensor_split, devices)

    def where(layer: int) -> int:
        if layer < start or layer - start >= active:
            return HOST
        return bisect.bisect_right(shares, _single((layer - start) / active))

    layers = tuple(where(layer) for layer in range(count))
    output = where(count)
    if any(device >= devices for device in (*layers, output)):
        raise InvalidInput(f"tensor_split {list(launch.tensor_split)} leaves layers without a device.")
    return Placement(layers, output, devices, active > count)


def _shares(split: Sequence[int], devices: int) -> list[float]:
    if devices <= 1:
        return [1.0] * devices
    if len(split) != devices or sum(split) <= 0 or min(split) < 0:
        raise InvalidInput(f"tensor_split {list(split)} does not fit {devices} devices.", "Give one number per device.")
    total, shares = 0.0, []
    for part in split:
        total = _single(total + part)
        shares.append(total)
    return [_single(share / total) for share in shares]
