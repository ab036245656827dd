# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NVIDIA GPUs as their driver library (NVML) describes them. Sizes are bytes."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import LlamaOpsError, MissingLibrary

Ask = Callable[..., Any]

# nvml.h, nvmlReturn_t
LIBRARY_NOT_FOUND = 12
_NO_PERMISSION, _DRIVER_NOT_LOADED, _VERSION_MISMATCH = 4, 9, 18
_GPU_IS_LOST, _RESET_REQUIRED = 15, 16

_REMEDIES = {
    _NO_PERMISSION: "Let the user of the module open /dev/nvidiactl and /dev/nvidia0 (often by the groups video and "
    "render), or use become.",
    _DRIVER_NOT_LOADED: "Load the kernel module (modprobe nvidia). If that fails it was not built for the running "
    "kernel (reboot after a kernel update, see dkms status) or Secure Boot refuses it.",
    LIBRARY_NOT_FOUND: "Install NVIDIA's driver with its library libnvidia-ml.so.1; a container gets it from the "
    "NVIDIA container toolkit (for example --gpus all).",
    _VERSION_MISMATCH: "The driver was updated while the old kernel module is still loaded: reboot the host.",
}
SEE_DMESG = "See dmesg for lines with NVRM or Xid; reset the GPU (nvidia-smi --gpu-reset) or power-cycle the host."


class DriverSilent(LlamaOpsError):
    """NVIDIA's driver, or one GPU behind it, does not answer."""


@dataclass(frozen=True)
class Reading:
    """What NVML said: driver version, CUDA version of the driver ("13.0"), and devices by index."""

    driver: str | None
    cuda: str | None
    devices: list[dict[str, Any]]


def read() -> Reading:
    """Every NVIDIA GPU that this process may use. A field that a device does not support is None.

    :raises MissingLibrary: nvidia-ml-py cannot be imported.
    :raises DriverSilent: the library is missing or refuses, or a GPU is lost; the remedy names the case.
    """
    try:
        import pynvml
    except ImportError as exc:
        raise MissingLibrary("nvidia-ml-py", "to read NVIDIA GPUs") from exc
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as exc:
        raise _silent("NVIDIA's driver library does not answer", exc) from exc
    try:
        ask = _asker(pynvml)
        return Reading(
            driver=ask("nvmlSystemGetDriverVersion"),
            cuda=_cuda_version(ask("nvmlSystemGetCudaDriverVersion")),
            devices=[_device(ask, index, _handle(pynvml, index)) for index in range(pynvml.nvmlDeviceGetCount())],
        )
    except pynvml.NVMLError as exc:
        raise _silent("NVIDIA's driver stopped answering", exc) from exc
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def pci_address(bus_id: str) -> str | None:
    """NVML's `00000000:3B:00.0` as the kernel writes it, `0000:3b:00.0`; None when it is no address."""
    found = re.fullmatch(r"([0-9a-f]{4,8}):([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])", bus_id.strip().lower())
    return f"{int(found.group(1), 16):04x}:{found.group(2)}" if found else None


def _asker(nvml: Any) -> Ask:
    """A function that calls NVML by name and returns None for what the device or the driver does not know.

    :raises DriverSilent: the GPU itself is gone.
    """

    def ask(name: str, *arguments: Any) -> Any:
        function = getattr(nvml, name, None)
        if function is None:
            return None
        try:
            return function(*arguments)
        except nvml.NVMLError as exc:
            if exc.value in (_GPU_IS_LOST, _RESET_REQUIRED):
                raise _silent("A GPU does not answer", exc) from exc
        except (nvml.NVMLLibraryMismatchError, UnicodeDecodeError):
            pass  # the driver is older than the function, or the board's strings are damaged
        return None

    return ask


def _handle(nvml: Any, index: int) -> Any:
    try:
        return nvml.nvmlDeviceGetHandleByIndex(index)
    except nvml.NVMLError as exc:
        raise _silent(f"The GPU with NVML's index {index} does not answer", exc) from exc


def _device(ask: Ask, index: int, handle: Any) -> dict[str, Any]:
    pci = ask("nvmlDeviceGetPciInfo", handle)
    limit = ask("nvmlDeviceGetPowerManagementLimit", handle)
    load = ask("nvmlDeviceGetUtilizationRates", handle)
    persistence = ask("nvmlDeviceGetPersistenceMode", handle)
    celsius = ask("nvmlDeviceGetTemperature", handle, 0)
    return {
        **_identity(ask, handle, f"the GPU with NVML's index {index}"),
        "vendor": "nvidia",
        "backend": "cuda",
        "index": index,
        "pci": pci_address(pci.busId) if pci else None,
        "compute_capability": _capability(ask("nvmlDeviceGetCudaComputeCapability", handle)),
        "mig": _state(ask("nvmlDeviceGetMigMode", handle)),
        "mig_devices": _mig_devices(ask, handle),
        "ecc": _state(ask("nvmlDeviceGetEccMode", handle)),
        "persistence": None if persistence is None else bool(persistence),
        "power_limit_watts": None if limit is None else limit / 1000,
        "temperature_celsius": ask("nvmlDeviceGetTemperatureV", handle, 0) if celsius is None else celsius,
        "utilization_percent": load and {"gpu": load.gpu, "memory": load.memory},
        "processes": _processes(ask, handle),
    }


def _identity(ask: Ask, handle: Any, what: str) -> dict[str, Any]:
    uuid = ask("nvmlDeviceGetUUID", handle)
    if not uuid:
        raise DriverSilent(f"NVIDIA's driver does not tell the UUID of {what}.", SEE_DMESG, nvml_error=None)
    # a GPU that shares the memory of its host has none of its own: the sizes are None
    memory = ask("nvmlDeviceGetMemoryInfo", handle)
    return {
        "id": uuid,
        "name": ask("nvmlDeviceGetName", handle),
        "total": memory.total if memory else None,
        "free": memory.free if memory else None,
        "used": memory.used if memory else None,
    }


def _mig_devices(ask: Ask, handle: Any) -> list[dict[str, Any]]:
    if not _state(ask("nvmlDeviceGetMigMode", handle)):
        return []
    slots = range(ask("nvmlDeviceGetMaxMigDeviceCount", handle) or 0)
    parts = [ask("nvmlDeviceGetMigDeviceHandleByIndex", handle, slot) for slot in slots]
    return [
        {
            **_identity(ask, part, "a MIG device"),
            "gpu_instance": ask("nvmlDeviceGetGpuInstanceId", part),
            "compute_instance": ask("nvmlDeviceGetComputeInstanceId", part),
        }
        for part in parts
        if part is not None
    ]


def _processes(ask: Ask, handle: Any) -> list[dict[str, Any]] | None:
    """`[{pid, kind, used}]`, None when the driver tells neither kind; `used` is None where it is hidden."""
    kinds = {"compute": "nvmlDeviceGetComputeRunningProcesses", "graphics": "nvmlDeviceGetGraphicsRunningProcesses"}
    lists = {kind: ask(function, handle) for kind, function in kinds.items()}
    if all(found is None for found in lists.values()):
        return None
    return [
        {"pid": process.pid, "kind": kind, "used": process.usedGpuMemory}
        for kind, found in lists.items()
        for process in found or []
    ]


def _state(modes: list[int] | None) -> bool | None:
    """The current one of NVML's pair (current, pending)."""
    return None if modes is None else bool(modes[0])


def _capability(version: tuple[int, int] | None) -> str | None:
    return None if version is None else f"{version[0]}.{version[1]}"


def _cuda_version(number: int | None) -> str | None:
    """13000 -> "13.0" (cuda.h: 1000 x major + 10 x minor)."""
    return None if number is None else f"{number // 1000}.{number % 1000 // 10}"


def _silent(problem: str, error: Any) -> DriverSilent:
    remedy = _REMEDIES.get(error.value, SEE_DMESG)
    return DriverSilent(f"{problem}: {error} (NVML error {error.value}).", remedy, nvml_error=error.value)
