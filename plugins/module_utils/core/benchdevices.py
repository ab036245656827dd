# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a benchmark is measured on: the processor, or GPUs of this host, and who else is at work there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .build.builds import Build
from .errors import InvalidInput
from .host import gpu, process
from .instance import candidates
from .instance.record import visible
from .instance.room import DRIVES, driven

CPU = "cpu"


@dataclass(frozen=True)
class Devices:
    """Where llama-bench works.

    :param ids: of the devices, or `cpu` alone. :param names: as the build calls them; none for the CPU.
    :param env: variables that make these names mean these devices.
    """

    ids: tuple[str, ...] = (CPU,)
    names: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def flags(self) -> list[str]:
        """The CPU is named too, so that a build for GPUs stays on it."""
        return ["--device", "/".join(self.names)] if self.names else ["--device", "none", "--n-gpu-layers", "0"]


def choose(build: Build, wanted: Sequence[str], facts: Mapping[str, Any] | None) -> Devices:
    """The devices that are asked for; if none is, all that the build drives, which for a CPU build is the CPU.

    :param facts: `devices` of the host as `gpu.read` gives them; None where `needs_facts` is false.
    :raises InvalidInput: one is not there, or the build does not drive it.
    """
    backend = backend_of(build)
    if not needs_facts(build, wanted):
        foreign = [name for name in wanted if name != CPU]
        if foreign:
            raise InvalidInput(
                f"The build {build.id} runs on the CPU and cannot measure {', '.join(foreign)}.",
                "Leave devices out, or name a build for the backend of these devices.",
            )
        return Devices()
    known = driven((facts or {}).get("devices", ()), backend)
    if not known:
        raise InvalidInput(
            f"The build {build.id} ({backend}) drives no device of this host.", "Use devices: [cpu] to measure the CPU."
        )
    found = [candidates.find("devices", name, known) for name in wanted] or known
    return Devices(
        ids=tuple(str(device["id"]) for device in found),
        names=tuple(named["flag"] for named in candidates.ordered(found)),
        env=visible(found),
    )


def needs_facts(build: Build, wanted: Sequence[str]) -> bool:
    """Whether the GPUs of the host must be looked at: not for a build or a request for the CPU."""
    return backend_of(build) in DRIVES and list(wanted) != [CPU]


def backend_of(build: Build) -> str:
    """The backend that a build was made for."""
    return str((build.manifest.get("recipe") or {}).get("backend") or CPU)


def disturbers(
    devices: Devices, read_facts: Callable[[], Mapping[str, Any]] = gpu.read, proc: str = "/proc"
) -> list[dict[str, Any]]:
    """Who is at work there now, `[{pid, program, unit}]`: each process that holds one of the GPUs; on the CPU, or where
    a driver does not say, each llama.cpp program.
    """
    there = gpu.usable(read_facts()["devices"]) if devices.names else []
    held = [device.get("processes") for device in there if device["id"] in devices.ids]
    if held and None not in held:
        seen = {int(item["pid"]): item for items in held for item in items or ()}
        return [{"pid": pid, "program": it.get("command") or "?", "unit": it.get("unit")} for pid, it in seen.items()]
    return [{"pid": found.pid, "program": found.tool, "unit": found.unit} for found in process.find_servers(proc)]
