# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long placing a fleet takes, from facts and headers to places. Prints one table; `CPU s` is what counts on a busy
machine, `plans` are questions to the memory model, `again s` is a run over what was placed before.

python tests/bench/placement/placing.py            # 1,000 hosts x 8 GPUs with 500 and with 2,000 models
python tests/bench/placement/placing.py --quick    # a tenth of it
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TESTS / "unit" / "core" / "memory")]

import recorded  # noqa: E402
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.place import hosts as places  # noqa: E402
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.place import wanted, written  # noqa: E402
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.place.needs import Needs, Source  # noqa: E402
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.place.place import place  # noqa: E402

GIB = 1 << 30
KINDS = (("NVIDIA H200", 141), ("NVIDIA H100", 80), ("NVIDIA L40S", 48))


def facts(number: int, gpus: int = 8) -> dict[str, Any]:
    """A host with GPUs of one kind; every second one has NVLinks, each half of the GPUs its NUMA node."""
    name, size = KINDS[number % 3]
    ids = [f"GPU-{number:04d}-{slot}" for slot in range(gpus)]
    devices = [
        {"id": ids[slot], "backend": "cuda", "name": name, "total": size * GIB, "free": size * GIB - GIB // 2,
         "used": GIB // 2, "numa": slot * 2 // gpus, "processes": [], "mig": False, "unified": False, "pci": None}
        for slot in range(gpus)
    ]  # fmt: skip
    pairs = [
        {"devices": [one, other], "links": 18} for slot, one in enumerate(ids) for other in ids[slot + 1 :]
    ] if number % 2 == 0 else []  # fmt: skip
    memory = {"total": 2048 * GIB, "available": 2000 * GIB}
    return {"devices": devices, "topology": pairs, "host": {"memory": memory, "storage": {"free": 20000 * GIB}}}


def fleet(models: int) -> dict[str, Any]:
    """Entries over all recorded models, with contexts and numbers of replicas drawn from a fixed seed."""
    draw, names = random.Random(7), sorted(recorded.models())
    return {
        f"m{number:04d}": {
            "model": f"/m/{draw.choice(names)}",
            "port": 10000 + number * 8,
            "replicas": draw.choice((1, 1, 1, 2, 3)),
            "ctx_size": draw.choice((4096, 8192, 16384, 32768)),
            "parallel": draw.choice((1, 2, 4)),
            "priority": draw.choice((0, 0, 0, 10)),
        }
        for number in range(models)
    }


def measure(hosts: int, models: int) -> tuple[str, ...]:
    described = {f"host{number:04d}": facts(number) for number in range(hosts)}
    sources = {
        f"/m/{name}": Source(recorded.header(name), size=recorded.header(name).size) for name in recorded.models()
    }
    asked = fleet(models)
    times, busy = [], []
    for _round in range(3):
        start, cpu = time.perf_counter(), time.process_time()
        read = wanted.read(asked, {}, {}, list(described))
        machines = [places.read(name, found) for name, found in described.items()]
        needs = Needs(sources)
        found = place(read, machines, {}, needs)
        times.append(time.perf_counter() - start)
        busy.append(time.process_time() - cpu)
    documents = written.documents(found, list(described))
    digest = hashlib.sha256(json.dumps(documents).encode()).hexdigest()[:12]
    standing = {
        name: written.standing(held[written.INSTANCES], held[written.RECORDS], name) for name, held in documents.items()
    }
    start = time.perf_counter()
    again = place(
        read,
        [places.read(name, found, placed=standing[name]) for name, found in described.items()],
        standing,
        Needs(sources),
    )
    kept = time.perf_counter() - start
    assert written.documents(again, list(described)) == documents
    replicas = sum(entry.replicas for entry in read)
    return (
        f"{hosts} x 8", str(models), str(replicas), str(len(found.bound)), str(needs.computed),
        f"{min(times):.2f}", f"{min(busy):.2f}", f"{kept:.2f}", digest,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    scale = 10 if parser.parse_args().quick else 1
    rows = [("hosts x GPUs", "models", "replicas", "placed", "plans", "best s", "CPU s", "again s", "bytes")]
    rows += [measure(1000 // scale, models // scale) for models in (500, 2000)]
    for row in rows:
        print("  ".join(cell.rjust(12) for cell in row))


if __name__ == "__main__":
    main()
