# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A root of its own that is kept between runs, what a run needs of its environment, and the models that it serves."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [
    str(TESTS.joinpath(*parts))
    for parts in (
        ("integration", "llama_build"),
        ("integration",),
        ("bench", "planner"),
        ("unit", "core", "memory"),
    )
]

import recorded  # noqa: E402
import sparse  # noqa: E402
from ansible_runs import must, run_module  # noqa: E402


@pytest.fixture(scope="session")
def cuda_home() -> str:
    home = os.environ.get("LLAMAOPS_TEST_CUDA_HOME")
    if not home:
        pytest.fail("LLAMAOPS_TEST_CUDA_HOME must name a CUDA toolkit: see tests/gpu/README.md.")
    return home


@pytest.fixture(scope="session")
def architecture() -> str:
    return os.environ.get("LLAMAOPS_TEST_CUDA_ARCH", "90")


@pytest.fixture(scope="session")
def kept_root() -> Path:
    """Its compiler cache makes a second run short."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(os.environ.get("LLAMAOPS_TEST_GPU_ROOT") or os.path.join(cache, "llamaops-test", "gpu-root"))


@pytest.fixture(scope="session")
def gpu_root(kept_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root whose active build is for CUDA, with supervisord for its instances."""
    if "-cuda-" not in os.path.realpath(kept_root / "current"):
        pytest.fail(f"No CUDA build is active in {kept_root}: run test_cuda_build.py with LLAMAOPS_TEST_CUDA_FULL=1.")
    lines = (TESTS.parent / "roles/llama_runtime/files/requirements-supervisor.txt").read_text().splitlines()
    packages = [line for line in lines if not line.startswith("#")]
    given = {"root": str(kept_root), "scope": "user", "packages": packages}
    must(run_module(tmp_path_factory.mktemp("runtime"), "llama_runtime", given))
    return kept_root


@pytest.fixture(scope="session")
def model_file(gpu_root: Path):
    """`model_file(name)`: a recorded model of its full size as a sparse file, zeros for weights."""

    def write(name: str) -> str:
        path = gpu_root / "models" / f"zeros-{name}.gguf"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            sparse.write_runnable(str(path), recorded.models()[name])
        return str(path)

    return write


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory):
    """`record(file, entry)`: one more line in a file of LLAMAOPS_TEST_GPU_RECORDS."""
    folder = Path(os.environ.get("LLAMAOPS_TEST_GPU_RECORDS") or tmp_path_factory.mktemp("records"))

    def add(file: str, entry: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / file, "a", encoding="utf-8") as lines:
            lines.write(json.dumps(entry) + "\n")

    return add
