# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""again.py ORACLE WORKER OUTPUT [DEVICE...] [--only MODEL...]: ask the recorded launches again, on other devices.

The first devices of every launch are the named ones, such as CUDA0, the others workers. OUTPUT has the format of
rows.json, for `score.py --record OUTPUT`. Several processes ask at a time, each about some of the models.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "unit" / "core" / "memory")]

import recorded  # noqa: E402
import sparse  # noqa: E402
from collect import cells  # noqa: E402
from oracle import Oracle, OracleFailed  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("oracle")
    parser.add_argument("worker")
    parser.add_argument("output", type=Path)
    parser.add_argument("devices", nargs="*")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--processes", type=int, default=max(1, min(8, (os.cpu_count() or 1) // 2)))
    parser.add_argument("--most", type=int, default=4, help="leave out launches with more devices")
    given = parser.parse_args()
    names = [name for name in recorded.models() if name in given.only or not given.only]
    with ThreadPoolExecutor(given.processes) as pool:
        parts = [names[number :: given.processes] for number in range(given.processes)]
        rows = [row for part in pool.map(lambda part: _ask(given, part), parts) for row in part]
    rows.sort(key=lambda row: names.index(row["model"]))
    given.output.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    print(f"{len(rows)} launches of {len({row['model'] for row in rows})} models")


def _ask(given: argparse.Namespace, names: list[str]) -> list[dict[str, Any]]:
    found = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Oracle(given.oracle, given.worker, given.most, given.devices) as oracle,
    ):
        path = os.path.join(folder, "model.gguf")
        for name in names:
            model = recorded.models()[name]
            sparse.write(path, model["metadata"], recorded.unpack(model["tensors"]))
            for row in recorded.rows():
                if row["model"] == name and row["launch"]["devices"] <= given.most:
                    try:
                        answer = oracle.ask("probe", model=path, **row["launch"])
                    except OracleFailed as exc:
                        print(f"{name} {row['launch']}: {exc}"[:400], file=sys.stderr)
                        continue
                    found.append({"model": name, "launch": row["launch"], **cells(answer)})
    return found


if __name__ == "__main__":
    main()
