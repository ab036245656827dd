# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory model against llama-fit-params of the build at hand: a few models of every kind, over two workers.

When this fails after an update of llama.cpp, measure anew: tests/bench/planner/README.md.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory import exact
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.launch import Launch
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.plan import Model
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.table import Device

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "bench" / "planner"), str(TESTS / "unit" / "core" / "memory")]

import recorded  # noqa: E402
import sparse  # noqa: E402

# dense, sliding, latent attention, experts, recurrent, hybrid
NAMES = ("llama3.1-8b", "qwen3-30b-a3b", "gemma3-27b-tied", "gpt-oss-20b", "deepseek-v2-lite", "qwen3.5-9b",
         "glm4.5-air", "lfm2-1.2b-tied")  # fmt: skip


@pytest.fixture(scope="module")
def workers(built_root):
    """Endpoints of two workers on loopback."""
    program = built_root / "current" / "bin" / "ggml-rpc-server"
    if not program.exists():
        pytest.skip("the build has no ggml-rpc-server")
    endpoints, processes = [], []
    for _other in range(2):
        with socket.create_server(("127.0.0.1", 0)) as found:
            port = found.getsockname()[1]
        argv = [program, "-H", "127.0.0.1", "-p", str(port), "-t", "1"]
        processes.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        endpoints.append(f"127.0.0.1:{port}")
    time.sleep(0.5)
    yield endpoints
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", NAMES)
def test_the_build_says_what_the_plan_says(built_root, workers, tmp_path, name):
    path = str(tmp_path / "model.gguf")
    found = recorded.models()[name]
    sparse.write(path, found["metadata"], recorded.unpack(found["tensors"]))
    model = Model(recorded.header(name))
    slots = len(model.hparams.layers) + 1
    launch = Launch(ctx_size=16384, gpu_layers=slots, tensor_split=(slots // 2, slots - slots // 2))
    argv = exact.command(str(built_root / "current" / "bin" / "llama-fit-params"), path, launch, workers)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
    devices = [Device(endpoint, "rpc", 1 << 45, 1 << 45) for endpoint in workers]
    assert exact.differences(model, launch, devices, exact.parse(done.stdout)) == []


def test_the_module_asks_the_build(ansible_module, built_root, workers, tmp_path):
    path = str(tmp_path / "model.gguf")
    found = recorded.models()["llama3.2-1b-tied"]
    sparse.write(path, found["metadata"], recorded.unpack(found["tensors"]))
    devices = [{"id": endpoint, "backend": "rpc", "total": 3 << 30} for endpoint in workers]
    asked = {"root": str(built_root), "scope": "user", "model": path, "devices": devices, "exact": True}
    result = ansible_module("llama_plan", {**asked, "options": {"ctx_size": 8192, "parallel": 1}})
    assert not result["failed"], result
    used = result["plan"]["options"]["device"]
    assert [device["id"] for device in result["exact"]["devices"]] == used
    assert result["exact"]["differences"] == []
