# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says of itself, in parts that can be asked for one by one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .. import benchresult
from ..build import buildinfo, builds
from ..errors import LlamaOpsError
from ..files import read_text
from ..host import gpu, machine
from ..host.cgroup import limits
from ..instance import described
from ..instance.service import Manager
from ..model import modelset
from ..tree import Tree
from . import hostfacts

# of the facts about a GPU, what changes while it works
LIVE = ("id", "name", "total", "free", "used", "utilization_percent", "temperature_celsius", "processes", "reasons")
_LARGEST_HISTORY = 512 << 10  # bytes of results.jsonl that are told, the newest


class Sections:
    """Reads a host. What cannot be read is told in `error` of its part, so that the others still come."""

    def __init__(self, tree: Tree, manager: Manager) -> None:
        self.tree = tree
        self.manager = manager
        self._ticks: tuple[int, int] | None = None

    def load(self) -> dict[str, Any]:
        """`{cpu, load, memory, disks, gpus}`: percent, three averages, bytes."""
        found: dict[str, Any] = {
            "cpu": self._busy(),
            "load": [round(value, 2) for value in os.getloadavg()],
            "disks": disks([self.tree.root, self.tree.models]),
            "gpus": [],
        }
        problems = []
        try:
            found["memory"] = memory = machine.memory("/", limits())
            found["gpus"] = [_live(gpu.shared(device, memory)) for device in gpu.look().devices]
        except LlamaOpsError as exc:
            problems.append(str(exc))
        return {**found, **({"error": {"message": problems[0]}} if problems else {})}

    def status(self) -> dict[str, Any]:
        """`described.describe`, with `unmanaged`, the servers that could be adopted."""
        found = described.describe(self.tree, self.manager, (), gpu.read)
        unmanaged = [item for item in found.pop("processes") if "definition" in item]
        return {**found, "unmanaged": unmanaged}

    def facts(self) -> dict[str, Any]:
        """What `gpu_facts` returns."""
        return hostfacts.read(self.tree)

    def builds(self) -> dict[str, Any]:
        """What `llama_build_info` returns."""
        return buildinfo.describe(self.tree)

    def models(self) -> dict[str, Any]:
        """`{sets, stores}`: each recorded set, whether its files are there as recorded, and where they lie."""
        sets = [_set(found) for found in modelset.load_all(self.tree)]
        folders = sorted({self.tree.models, *(item["store"] for item in sets if item["store"])})
        return {"sets": sets, "stores": [machine.storage(folder) for folder in folders]}

    def benches(self) -> dict[str, Any]:
        """`{results}`: the newest results that fit into a message, oldest first."""
        results: list[dict[str, Any]] = []
        size = 0
        for record in reversed(list(benchresult.history(self.tree))):
            size += len(str(record))
            if size > _LARGEST_HISTORY:
                break
            results.insert(0, record)
        return {"results": results}

    def build_mark(self) -> object:
        """Another value when another build is there or active, so that builds are read again at once."""
        active = builds.active(self.tree)
        return (active.id if active else None, _stamp(self.tree.builds))

    def model_mark(self) -> object:
        """Another value when a set was recorded or forgotten: both replace a file in that folder."""
        return _stamp(self.tree.sets)

    def bench_mark(self) -> object:
        return _stamp(benchresult.path(self.tree))

    def _busy(self) -> float | None:
        """Percent of all processors since the last call; None in the first (proc_stat(5))."""
        words = (read_text("/proc/stat") or "").partition("\n")[0].split()[1:9]
        if len(words) < 8 or not all(word.isdigit() for word in words):
            return None
        numbers = [int(word) for word in words]
        idle, total = numbers[3] + numbers[4], sum(numbers)
        before, self._ticks = self._ticks, (idle, total)
        if before is None or total <= before[1]:
            return None
        return round(100 * (1 - (idle - before[0]) / (total - before[1])), 1)


def disks(folders: list[str]) -> list[dict[str, Any]]:
    """`{path, total, free}` of the file systems of these folders, each once."""
    found: dict[int, dict[str, Any]] = {}
    for folder in folders:
        said = machine.storage(folder)
        found.setdefault(os.stat(said["path"]).st_dev, said)
    return list(found.values())


def _live(device: Mapping[str, Any]) -> dict[str, Any]:
    parts = [{key: part[key] for key in LIVE if key in part} for part in device.get("mig_devices") or ()]
    return {**{key: device[key] for key in LIVE if key in device}, **({"mig_devices": parts} if parts else {})}


def _set(found: modelset.ModelSet) -> dict[str, Any]:
    """A set with `size`, `store`, and `missing`: files that are not there as recorded. Nothing is hashed."""
    missing = [file.path for file in found.files if not _whole(file)]
    first = found.files[0] if found.files else None
    below = first is not None and first.name and first.path.endswith(f"/{first.name}")
    store = first.path[: -len(first.name) - 1] if first is not None and below else None
    return {**found.facts(), "size": found.size, "store": store, "whole": not missing, "missing": missing}


def _whole(file: modelset.ModelFile) -> bool:
    try:
        return modelset.again(file) == file
    except OSError:
        return False


def _stamp(path: str) -> object:
    try:
        state = os.stat(path)
    except OSError:
        return None
    return (state.st_mtime_ns, state.st_size)
