# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module llama_plan by the real Ansible, on sparse files with the geometry of real models."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "bench" / "planner"), str(TESTS / "unit" / "core" / "memory")]

import recorded  # noqa: E402
import sparse  # noqa: E402

GIB = 1 << 30


@pytest.fixture
def model(tmp_path):
    """`model(name)`: the path of a sparse file of this recorded model."""

    def make(name: str) -> str:
        path = str(tmp_path / "model.gguf")
        found = recorded.models()[name]
        sparse.write(path, found["metadata"], recorded.unpack(found["tensors"]))
        return path

    return make


def gpus(*sizes: int) -> list[dict]:
    return [{"id": f"GPU-{number}", "backend": "cuda", "total": size * GIB} for number, size in enumerate(sizes)]


def test_a_model_over_two_devices(ansible_module, model):
    asked = {"model": model("llama3.3-70b"), "devices": gpus(48, 32), "options": {"ctx_size": 32768}}
    result = ansible_module("llama_plan", asked, check=True)
    assert not result["failed"] and not result["changed"] and result["fits"], result
    assert result["plan"]["options"]["device"] == ["GPU-0", "GPU-1"]
    assert sum(result["plan"]["options"]["tensor_split"]) == 81
    assert result == ansible_module("llama_plan", asked)


def test_a_model_that_does_not_fit_says_what_would_help(ansible_module, model):
    asked = {"model": model("qwen3-30b-a3b"), "devices": gpus(16), "options": {"ctx_size": 32768}}
    refused = ansible_module("llama_plan", asked)
    assert not refused["failed"] and not refused["fits"] and refused["plan"]["rung"] == "refused"
    allowed = ansible_module("llama_plan", {**asked, "allow": ["n_cpu_moe"]})
    assert allowed["fits"] and allowed["plan"]["options"]["n_cpu_moe"] > 0


def test_mistakes_are_named(ansible_module, model):
    path = model("llama3.2-1b-tied")
    result = ansible_module("llama_plan", {"model": path, "devices": [], "options": {"ctx_sizes": 1}})
    assert result["failed"] and "ctx_size" in result["msg"]
    result = ansible_module("llama_plan", {"model": path, "devices": [{"id": "a", "backend": "cuda"}]})
    assert result["failed"] and "total memory" in result["msg"]
    result = ansible_module("llama_plan", {"model": "chat", "devices": []})
    assert result["failed"] and "root" in result["msg"]


def test_the_playbook_shows_a_bar_for_every_device(play, model):
    run = play(
        TESTS.parent / "playbooks" / "plan.yml",
        {"model": model("llama3.1-8b"), "devices": gpus(24), "options": {"ctx_size": 8192}},
    )
    assert run.rc == 0, run.output
    assert "WWWWW" in run.output and "kv_cache" in run.output
