# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NVIDIA GPUs as their driver library (NVML) describes them. Sizes are bytes."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

from ..errors import MissingLibrary
from . import nvml_device, nvml_links
from .nvml_ask import LIBRARY_NOT_FOUND, SEE_DMESG, Ask, DriverSilent, silent
from .nvml_device import pci_address

__all__ = ["LIBRARY_NOT_FOUND", "SEE_DMESG", "DriverSilent", "Reading", "pci_address", "read"]


@dataclass(frozen=True)
class Reading:
    """What NVML said: driver version, CUDA version of the driver ("13.0"), devices by index, and how they connect."""

    driver: str | None = None
    cuda: str | None = None
    devices: list[dict[str, Any]] = field(default_factory=list)
    topology: list[dict[str, Any]] = field(default_factory=list)


def read() -> Reading:
    """Every NVIDIA GPU that this process may use. What a device does not tell is None, and why stands in `reasons`.

    :raises MissingLibrary: nvidia-ml-py cannot be imported.
    :raises DriverSilent: the library is missing or refuses, or a GPU is lost; the remedy names the case.
    """
    try:
        import pynvml
    except ImportError as exc:
        raise MissingLibrary("nvidia-ml-py", "to read NVIDIA GPUs") from exc
    try:
        # with this flag a driver that has no GPU to show is an answer, not a failure
        pynvml.nvmlInitWithFlags(pynvml.NVML_INIT_FLAG_NO_GPUS)
    except pynvml.NVMLError as exc:
        raise silent("NVIDIA's driver library does not answer", exc) from exc
    try:
        return _reading(pynvml)
    except pynvml.NVMLError as exc:
        raise silent("NVIDIA's driver stopped answering", exc) from exc
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _reading(nvml: Any) -> Reading:
    ask = Ask(nvml)
    handles = [_handle(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]
    devices = [
        {**nvml_device.describe(Ask(nvml), index, handle), "nvlink": nvml_links.links(nvml, handle)}
        for index, handle in enumerate(handles)
    ]
    return Reading(
        driver=ask("driver", "nvmlSystemGetDriverVersion"),
        cuda=_cuda_version(ask("cuda", "nvmlSystemGetCudaDriverVersion")),
        devices=devices,
        topology=nvml_links.pairs(nvml, devices, handles),
    )


def _handle(nvml: Any, index: int) -> Any:
    try:
        return nvml.nvmlDeviceGetHandleByIndex(index)
    except nvml.NVMLError as exc:
        raise silent(f"The GPU with NVML's index {index} does not answer", exc) from exc


def _cuda_version(number: int | None) -> str | None:
    """13000 -> "13.0" (cuda.h: 1000 x major + 10 x minor)."""
    return None if number is None else f"{number // 1000}.{number % 1000 // 10}"
