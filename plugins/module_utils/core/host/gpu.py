# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts that `ansible_facts.llama_gpu` holds: the GPUs of this host, and the host itself."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import LlamaOpsError, MissingLibrary
from ..files import read_text
from . import amd, drm, intel, machine, nvml, process

SCHEMA = 1
BACKENDS = ("cuda", "hip", "vulkan")  # in this order where a host has several
_NVIDIA, _AMD, _INTEL = "0x10de", "0x1002", "0x8086"
_VENDORS = {_NVIDIA: "NVIDIA", _AMD: "AMD", _INTEL: "Intel"}
_WITHOUT = {
    _AMD: "its driver shows no memory for models (amdgpu is not loaded, or it only draws the desktop)",
    _INTEL: "its driver shows no memory of its own",
}
# PCI base classes: display controller, and processing accelerator (AMD's Instinct boards)
_DISPLAY, _ACCELERATOR = "0x03", "0x12"


@dataclass(frozen=True)
class BusGPU:
    """A GPU on the PCI bus: address (`0000:3b:00.0`), vendor id, bound kernel driver, NUMA node."""

    address: str
    vendor: str
    driver: str | None
    numa: int | None

    @property
    def own(self) -> bool:
        """True for a GPU that this host itself should drive; False when a virtual machine got it."""
        return self.driver != "vfio-pci"

    @property
    def wanted(self) -> bool:
        """True for an NVIDIA GPU of this host itself."""
        return self.vendor == _NVIDIA and self.own

    def __str__(self) -> str:
        return f"{_VENDORS[self.vendor]} GPU {self.address} (kernel driver: {self.driver or 'none'})"


class TooFewGPUs(LlamaOpsError):
    """The host shows fewer GPUs than its inventory says."""


@dataclass(frozen=True)
class Seen:
    """The GPUs of a host: those on the bus, those that can be used, how they are connected; NVIDIA's driver and its
    CUDA version. `reason` says why a GPU that is there, or any GPU at all, is not among the devices; else None.
    """

    bus: Sequence[BusGPU]
    devices: Sequence[dict[str, Any]]
    topology: Sequence[dict[str, Any]]
    driver: str | None
    cuda: str | None
    reason: str | None


def read(root: str = "/", expected: int | None = None) -> dict[str, Any]:
    """`{schema, devices, topology, host, driver, cuda, reason}`; `reason` as in `Seen`, errors as of `look`.

    :raises MissingLibrary: also where psutil is missing.
    """
    facts = machine.read(root)
    seen = look(root, expected)
    return {
        "schema": SCHEMA,
        "devices": [shared(device, facts["memory"]) for device in seen.devices],
        "topology": list(seen.topology),
        "host": facts,
        "driver": seen.driver,
        "cuda": seen.cuda,
        "reason": seen.reason,
    }


def look(root: str = "/", expected: int | None = None) -> Seen:
    """The GPUs of this host; of one without memory of its own `total` and `free` are what its driver says.

    :param root: the folder that holds `proc`, `sys`, `etc` and `run`.
    :param expected: GPUs this host must have; 0 states that it serves from its CPU whatever the bus shows.
    :raises MissingLibrary: nvidia-ml-py is missing while an NVIDIA GPU is visible.
    :raises nvml.DriverSilent: an NVIDIA GPU is visible and its driver does not answer for it.
    :raises TooFewGPUs: fewer than expected.
    """
    bus = scan(root)
    notes: list[str] = []
    reading = _ask_nvml([] if expected == 0 else [gpu for gpu in bus if gpu.wanted], notes)
    others = _others(root, bus)
    numa = {gpu.address: gpu.numa for gpu in bus}
    devices = [{**device, "numa": numa.get(device["pci"])} for device in [*reading.devices, *others]]
    contained = machine.container(root) is not None
    _name_processes(devices, None if contained else os.path.join(root, "proc"))
    # a container sees GPUs on the bus that were not given to it; a stated number decides by itself
    strict = not contained and expected is None
    notes += _left_out(bus, {device["pci"] for device in devices}, strict)
    if not bus and not devices:
        notes.insert(0, "No GPU is on the PCI bus.")
    if expected is not None and len(devices) < expected:
        raise TooFewGPUs(
            f"This host shows {len(devices)} of {expected} expected GPUs. {' '.join(notes)}".strip(),
            "Repair it, or correct llama_gpus in the inventory.",
            expected=expected,
            found=len(devices),
        )
    topology = [*reading.topology, *amd.topology(root, others)]
    return Seen(bus, devices, topology, reading.driver, reading.cuda, " ".join(notes) or None)


def usable(devices: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What a process of llama.cpp can use of the devices of `read`: a GPU in MIG mode gives way to its parts, a GPU
    without memory of its own to one that has some, and other backends to the first (cuda, hip, vulkan).

    Follows llama_prepare_model_devices, src/llama.cpp, which leaves an integrated GPU out where there is another one.
    """
    parts = [part for device in devices for part in _parts(device)]
    own = [part for part in parts if not part.get("unified")]
    left = [part for part in own or parts if part.get("total")]
    first = min((BACKENDS.index(part["backend"]) for part in left if part["backend"] in BACKENDS), default=None)
    return [part for part in left if first is not None and part["backend"] == BACKENDS[first]]


def _parts(device: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not device.get("mig"):
        return [dict(device)]
    kept = {key: device.get(key) for key in ("vendor", "backend", "pci", "numa", "compute_capability", "compute_mode")}
    return [{**kept, **part, "parent": device["id"]} for part in device.get("mig_devices") or ()]


def _others(root: str, bus: Sequence[BusGPU]) -> list[dict[str, Any]]:
    """The GPUs of AMD and Intel."""
    there = [gpu for gpu in bus if gpu.vendor != _NVIDIA]
    clients = drm.clients(root) if there else {}
    found = []
    for gpu in there:
        if gpu.vendor == _AMD:
            device = amd.read(root, gpu.address, clients)
            if device is not None and not amd.drawing_only(device):
                found.append(device)
        else:
            device = intel.read(root, gpu.address, clients)
            if device is not None:
                found.append(device)
    return found


def _name_processes(devices: Sequence[Mapping[str, Any]], proc: str | None) -> None:
    """Say of every process on a device, or on a part of one, whose it is.

    :param proc: where processes are seen; None in a container, whose numbers are others than those of the driver.
    """
    parts = [part for device in devices for part in device.get("mig_devices") or ()]
    for holder in [*devices, *parts]:
        for entry in holder.get("processes") or ():
            entry.update(process.owner(entry["pid"], proc) if proc else {"command": None, "unit": None})


def shared(device: Mapping[str, Any], memory: Mapping[str, Any]) -> dict[str, Any]:
    """A device that uses the memory of the host has no more free than the host has."""
    if not device.get("unified"):
        return dict(device)
    total = memory["total"] if device["total"] is None else device["total"]
    free = memory["available"] if device["free"] is None else min(device["free"], memory["available"])
    return {**device, "total": total, "free": free, "used": max(total - free, 0)}


def scan(root: str = "/") -> list[BusGPU]:
    """The NVIDIA, AMD and Intel GPUs on the PCI bus, by address."""
    folders = glob.glob(os.path.join(glob.escape(root), "sys/bus/pci/devices/*"))
    return [gpu for folder in sorted(folders) if (gpu := _bus_gpu(folder))]


def nvidia_visible(root: str = "/") -> bool:
    """Whether an NVIDIA GPU is on the bus that this host itself should drive."""
    return any(gpu.wanted for gpu in scan(root))


def _bus_gpu(folder: str) -> BusGPU | None:
    vendor, kind, node = (_word(folder, name) for name in ("vendor", "class", "numa_node"))
    if vendor not in _VENDORS or not (kind.startswith(_DISPLAY) or (kind.startswith(_ACCELERATOR) and vendor == _AMD)):
        return None
    driver = os.path.join(folder, "driver")
    return BusGPU(
        address=os.path.basename(folder).lower(),
        vendor=vendor,
        driver=os.path.basename(os.readlink(driver)) if os.path.islink(driver) else None,
        # the kernel writes -1 where the firmware names no node
        numa=int(node) if node.isdigit() else None,
    )


def _ask_nvml(visible: Sequence[BusGPU], notes: list[str]) -> nvml.Reading:
    """NVML's answer. Its silence is an error when GPUs are visible, else a note."""
    try:
        return nvml.read()
    except MissingLibrary:
        if visible:
            raise
    except nvml.DriverSilent as exc:
        if visible:
            seen = ", ".join(str(gpu) for gpu in visible)
            raise nvml.DriverSilent(f"{seen}: {exc.problem}", _remedy(visible, exc), **exc.details) from exc
        if exc.details["nvml_error"] != nvml.LIBRARY_NOT_FOUND:
            notes.append(exc.problem)
    return nvml.Reading()


def _remedy(visible: Sequence[BusGPU], error: nvml.DriverSilent) -> str:
    if any(gpu.driver == "nouveau" for gpu in visible):
        return "The kernel driver nouveau holds the GPU: install NVIDIA's driver, which blocks nouveau, and reboot."
    return error.remedy


def _left_out(bus: Sequence[BusGPU], answered: set[str | None], strict: bool) -> list[str]:
    """A sentence for each GPU on the bus that is not among the devices.

    :param strict: refuse a GPU that NVIDIA's driver should have listed and did not.
    """
    notes = []
    for gpu in bus:
        if gpu.address in answered:
            continue
        if strict and gpu.wanted and gpu.driver in ("nvidia", None):
            raise nvml.DriverSilent(f"{gpu}: NVIDIA's driver answers, but does not list it.", nvml.SEE_DMESG)
        if gpu.vendor == _NVIDIA:
            notes.append(f"{gpu}: {'not usable here' if gpu.wanted else 'handed to a virtual machine'}.")
        else:
            notes.append(f"{gpu}: {_WITHOUT[gpu.vendor]}.")
    return notes


def _word(folder: str, name: str) -> str:
    try:
        return (read_text(os.path.join(folder, name)) or "").strip().lower()
    except OSError:
        return ""
