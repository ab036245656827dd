# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens a second of a build of llama_build, side by side with one made by hand from the same tree."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from ansible_runs import run_module

TESTS = {"n_prompt": [512, 4096], "n_gen": [128], "n_depth": [0], "repetitions": 5}


@pytest.fixture(scope="session")
def by_hand(gpu_root: Path, cuda_home: str, architecture: str) -> str:
    """llama-bench as upstream's documentation says to build it; kept between runs. Takes as long as the other build."""
    folder = gpu_root.parent / "by-hand"
    options = {
        "CMAKE_BUILD_TYPE": "Release",
        "GGML_CUDA": "ON",
        "CMAKE_CUDA_ARCHITECTURES": architecture,
        "CMAKE_CUDA_COMPILER": f"{cuda_home}/bin/nvcc",
        "GGML_NATIVE": "OFF",
        "LLAMA_BUILD_UI": "OFF",
        "LLAMA_USE_PREBUILT_UI": "OFF",
        "LLAMA_CURL": "OFF",
    }
    given = [f"-D{name}={value}" for name, value in options.items()]
    tree = gpu_root / "work" / "tree"
    subprocess.run(["cmake", "-S", tree, "-B", folder, "-G", "Ninja", *given], check=True, stdout=subprocess.DEVNULL)
    jobs = str(os.cpu_count())
    subprocess.run(["cmake", "--build", folder, "--target", "llama-bench", "-j", jobs], check=True)
    return str(folder / "bin" / "llama-bench")


def test_as_fast_as_a_build_by_hand(gpu_root, by_hand, model_file, tmp_path, record):
    asked = {"root": str(gpu_root), "scope": "user", "model": model_file("llama3.1-8b"), "tests": TESTS, "force": True}
    speeds: dict[str, dict[str, list[float]]] = {"ours": {}, "by hand": {}}
    for _round in range(2):
        found = run_module(tmp_path / "run", "llama_bench", asked)
        assert not found["failed"], found["msg"]
        assert all(row["backends"].startswith("CUDA") for row in found["rows"]), found["rows"]
        hand = subprocess.run([by_hand, *found["command"][1:]], check=True, capture_output=True, text=True)
        for row in found["rows"]:
            speeds["ours"].setdefault(row["test"], []).append(row["avg_ts"])
        for row in json.loads(hand.stdout):
            test = f"pp{row['n_prompt']}" if row["n_prompt"] else f"tg{row['n_gen']}"
            speeds["by hand"].setdefault(test, []).append(row["avg_ts"])
    record("speed.jsonl", {"command": found["command_line"], "tokens_per_second": speeds})
    for test, values in speeds["ours"].items():
        assert max(values) > 0.95 * max(speeds["by hand"][test]), test
