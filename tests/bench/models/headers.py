# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our reader of headers against GGUFReader of the package gguf: seconds and peak memory, each in a process of its own.

python tests/bench/models/headers.py FILE.gguf...      (needs the package gguf, and the collection on PYTHONPATH)
"""

from __future__ import annotations

import json
import subprocess
import sys

OURS = """
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import gguf
read = gguf.read_header
"""
THEIRS = """
from gguf import GGUFReader
read = GGUFReader
"""
MEASURE = """
import json, resource, sys, time
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
times = []
for _run in range(int(sys.argv[2])):
    start = time.perf_counter()
    read(sys.argv[1])
    times.append(time.perf_counter() - start)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": min(times), "peak": after, "grown": after - before}))
"""


def measure(reader: str, path: str, runs: int) -> dict[str, float]:
    """Best seconds of so many runs; peak of the process and growth by reading, in KiB."""
    done = subprocess.run(
        [sys.executable, "-c", reader + MEASURE, path, str(runs)], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout)


def main(paths: list[str]) -> None:
    print(f"{'file':34} {'ours s':>8} {'gguf s':>8} {'ratio':>7} {'ours MiB':>9} {'gguf MiB':>9}")
    for path in paths:
        ours, theirs = measure(OURS, path, 3), measure(THEIRS, path, 1)
        name = path.rsplit("/", 1)[-1]
        ratio = theirs["seconds"] / ours["seconds"]
        peaks = f"{ours['peak'] / 1024:9.0f} {theirs['peak'] / 1024:9.0f}"
        print(f"{name:34} {ours['seconds']:8.4f} {theirs['seconds']:8.2f} {ratio:7.0f} {peaks}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
