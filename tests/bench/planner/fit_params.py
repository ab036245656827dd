# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""fit_params.py [--rest] PROGRAM WORKER: record in fit_params.json what llama-fit-params says of every recorded launch.

It is given all that it takes; it takes no number of sequences, no unified cache, no number of logits, no draft.
With --rest only launches that were recorded since are asked about.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "unit" / "core" / "memory")]

import recorded  # noqa: E402
import sparse  # noqa: E402
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import LlamaOpsError  # noqa: E402
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory import exact  # noqa: E402
from test_recorded import launch_of  # noqa: E402


def main() -> None:
    program, worker = [word for word in sys.argv[1:] if word != "--rest"]
    target = recorded.FOLDER / "fit_params.json"
    found: list[list[int] | None] = json.loads(target.read_text()) if "--rest" in sys.argv else []
    processes, endpoints = [], []
    try:
        for _number in range(4):
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
            argv = [worker, "-H", "127.0.0.1", "-p", str(port), "-t", "1"]
            processes.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            endpoints.append(f"127.0.0.1:{port}")
        time.sleep(0.5)
        with tempfile.TemporaryDirectory() as folder:
            path, last = os.path.join(folder, "model.gguf"), ""
            for row in recorded.rows()[len(found) :]:
                model = recorded.models()[row["model"]]
                if row["model"] != last:
                    last = row["model"]
                    sparse.write(path, model["metadata"], recorded.unpack(model["tensors"]))
                found.append(_said(program, path, row, endpoints))
    finally:
        for process in processes:
            process.kill()
            process.wait()
    target.write_text(json.dumps(found, separators=(",", ":")) + "\n")


def _said(program: str, path: str, row: dict, endpoints: list[str]) -> list[int] | None:
    """MiB in total of every device, the host last; None where it would not say."""
    launch, count = launch_of(row)
    argv = exact.command(program, path, launch, endpoints[:count])
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        rows = exact.parse(done.stdout)
    except (LlamaOpsError, subprocess.TimeoutExpired) as exc:
        print(f"{row['model']} {row['launch']}: {exc}"[:300], file=sys.stderr)
        return None
    return [one.weights + one.context + one.compute for one in rows]


if __name__ == "__main__":
    main()
