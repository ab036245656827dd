# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One NVIDIA GPU, field by field. Sizes are bytes."""

from __future__ import annotations

import re
from typing import Any

from .nvml_ask import NOT_SUPPORTED, SEE_DMESG, Ask, DriverSilent

# nvml.h: nvmlComputeMode_t, nvmlGpuVirtualizationMode_t, nvmlDeviceAddressingModeType_t
_COMPUTE_MODES = {0: "default", 1: "exclusive_thread", 2: "prohibited", 3: "exclusive_process"}
_VIRTUALIZATIONS = {0: "none", 1: "passthrough", 2: "vgpu", 3: "host_vgpu", 4: "host_vsga"}
_ADDRESSINGS = {0: "none", 1: "hmm", 2: "ats"}


def describe(ask: Ask, index: int, handle: Any) -> dict[str, Any]:
    """The facts of a GPU; `reasons` says why a field is None.

    :raises DriverSilent: it is lost, or does not tell its UUID.
    """
    pci = ask("pci", "nvmlDeviceGetPciInfo", handle)
    load = ask("utilization_percent", "nvmlDeviceGetUtilizationRates", handle)
    persistence = ask("persistence", "nvmlDeviceGetPersistenceMode", handle)
    return {
        **_identity(ask, handle, f"the GPU with NVML's index {index}"),
        "vendor": "nvidia",
        "backend": "cuda",
        "index": index,
        "pci": pci_address(pci.busId) if pci else None,
        "minor": ask("minor", "nvmlDeviceGetMinorNumber", handle),
        "serial": ask("serial", "nvmlDeviceGetSerial", handle),
        "compute_capability": _capability(ask("compute_capability", "nvmlDeviceGetCudaComputeCapability", handle)),
        "mig": _state(ask("mig", "nvmlDeviceGetMigMode", handle)),
        "mig_devices": _mig_devices(ask, handle),
        "pcie": _pcie(ask, handle),
        "memory_numa": ask("memory_numa", "nvmlDeviceGetNumaNodeId", handle),
        "ecc": _state(ask("ecc", "nvmlDeviceGetEccMode", handle)),
        "remapped_rows": _remapped(ask("remapped_rows", "nvmlDeviceGetRemappedRows", handle)),
        "persistence": None if persistence is None else bool(persistence),
        "display": _yes(ask("display", "nvmlDeviceGetDisplayActive", handle)),
        "compute_mode": _word(_COMPUTE_MODES, ask("compute_mode", "nvmlDeviceGetComputeMode", handle)),
        "virtualization": _word(_VIRTUALIZATIONS, ask("virtualization", "nvmlDeviceGetVirtualizationMode", handle)),
        "addressing": _word(_ADDRESSINGS, ask("addressing", "nvmlDeviceGetAddressingMode", handle)),
        **_power(ask, handle),
        "temperature_celsius": _temperature(ask, handle),
        "utilization_percent": load and {"gpu": load.gpu, "memory": load.memory},
        "processes": _processes(ask, handle),
        "reasons": dict(sorted(ask.refused.items())),
    }


def pci_address(bus_id: str) -> str | None:
    """NVML's `00000000:3B:00.0` as the kernel writes it, `0000:3b:00.0`; None when it is no address."""
    found = re.fullmatch(r"([0-9a-f]{4,8}):([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])", bus_id.strip().lower())
    return f"{int(found.group(1), 16):04x}:{found.group(2)}" if found else None


def _identity(ask: Ask, handle: Any, what: str) -> dict[str, Any]:
    uuid = ask("id", "nvmlDeviceGetUUID", handle)
    if not uuid:
        raise DriverSilent(f"NVIDIA's driver does not tell the UUID of {what}.", SEE_DMESG, nvml_error=None)
    return {"id": uuid, "name": ask("name", "nvmlDeviceGetName", handle), **_memory(ask, handle)}


def _memory(ask: Ask, handle: Any) -> dict[str, Any]:
    """`{total, free, used, reserved, unified}`; what the driver keeps for itself counts as used.

    A GPU that shares the memory of its host (GB10, Jetson) does not support the question.
    """
    memory = ask("total", "nvmlDeviceGetMemoryInfo", handle, version=ask.nvml.nvmlMemory_v2)
    reserved = memory.reserved if memory else None
    if memory is None:
        memory = ask("total", "nvmlDeviceGetMemoryInfo", handle)
    if memory is None:
        shared = ask.codes.get("total") == NOT_SUPPORTED
        return {"total": None, "free": None, "used": None, "reserved": None, "unified": shared}
    used = memory.used + (reserved or 0)
    return {"total": memory.total, "free": memory.free, "used": used, "reserved": reserved, "unified": False}


def _mig_devices(ask: Ask, handle: Any) -> list[dict[str, Any]]:
    if not _state(ask("mig", "nvmlDeviceGetMigMode", handle)):
        return []
    slots = range(ask("mig_devices", "nvmlDeviceGetMaxMigDeviceCount", handle) or 0)
    # an empty slot is no failure of the field
    parts = [Ask(ask.nvml)("slot", "nvmlDeviceGetMigDeviceHandleByIndex", handle, slot) for slot in slots]
    return [_mig_device(Ask(ask.nvml), part) for part in parts if part is not None]


def _mig_device(ask: Ask, part: Any) -> dict[str, Any]:
    sizes = ask("multiprocessors", "nvmlDeviceGetAttributes_v2", part)
    return {
        **_identity(ask, part, "a MIG device"),
        "gpu_instance": ask("gpu_instance", "nvmlDeviceGetGpuInstanceId", part),
        "compute_instance": ask("compute_instance", "nvmlDeviceGetComputeInstanceId", part),
        "multiprocessors": sizes.multiprocessorCount if sizes else None,
        "slices": sizes.gpuInstanceSliceCount if sizes else None,
        "processes": _processes(ask, part),
        "reasons": dict(sorted(ask.refused.items())),
    }


def _pcie(ask: Ask, handle: Any) -> dict[str, Any]:
    """An idle link runs at a lower generation, so plan with the largest."""
    names = {
        "generation": "nvmlDeviceGetCurrPcieLinkGeneration",
        "generation_max": "nvmlDeviceGetMaxPcieLinkGeneration",
        "width": "nvmlDeviceGetCurrPcieLinkWidth",
        "width_max": "nvmlDeviceGetMaxPcieLinkWidth",
    }
    return {key: ask(f"pcie.{key}", name, handle) for key, name in names.items()}


def _power(ask: Ask, handle: Any) -> dict[str, Any]:
    limit = ask("power_limit_watts", "nvmlDeviceGetPowerManagementLimit", handle)
    enforced = ask("power_enforced_watts", "nvmlDeviceGetEnforcedPowerLimit", handle)
    limits = ask("power_range_watts", "nvmlDeviceGetPowerManagementLimitConstraints", handle)
    return {
        "power_limit_watts": _watts(limit),
        "power_enforced_watts": _watts(enforced),
        "power_range_watts": limits and {"min": _watts(limits[0]), "max": _watts(limits[1])},
    }


def _temperature(ask: Ask, handle: Any) -> Any:
    celsius = ask("temperature_celsius", "nvmlDeviceGetTemperature", handle, 0)
    return ask("temperature_celsius", "nvmlDeviceGetTemperatureV", handle, 0) if celsius is None else celsius


def _processes(ask: Ask, handle: Any) -> list[dict[str, Any]] | None:
    """`[{pid, kind, used}]`, None when the driver tells neither kind; `used` is None where it is hidden."""
    kinds = {"compute": "nvmlDeviceGetComputeRunningProcesses", "graphics": "nvmlDeviceGetGraphicsRunningProcesses"}
    lists = {kind: ask(f"processes.{kind}", function, handle) for kind, function in kinds.items()}
    if all(found is None for found in lists.values()):
        return None
    return [
        {"pid": process.pid, "kind": kind, "used": process.usedGpuMemory}
        for kind, found in lists.items()
        for process in found or []
    ]


def _remapped(rows: Any) -> dict[str, Any] | None:
    """Rows of memory that were replaced; `failure` means that the next one cannot be."""
    if rows is None:
        return None
    return {
        "correctable": rows[0],
        "uncorrectable": rows[1],
        "pending": bool(rows[2]),
        "failure": bool(rows[3]),
    }


def _state(modes: list[int] | None) -> bool | None:
    """The current one of NVML's pair (current, pending)."""
    return None if modes is None else bool(modes[0])


def _yes(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def _word(words: dict[int, str], value: int | None) -> str | None:
    return None if value is None else words.get(value, str(value))


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000


def _capability(version: tuple[int, int] | None) -> str | None:
    return None if version is None else f"{version[0]}.{version[1]}"
