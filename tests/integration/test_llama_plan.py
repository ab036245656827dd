# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module llama_plan by the real Ansible, on sparse files with the geometry of real models."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import tinymodel

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "bench" / "planner"), str(TESTS / "unit" / "core" / "memory")]

import recorded  # noqa: E402
import sparse  # noqa: E402

GIB = 1 << 30
TINY = tinymodel.content()


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


def test_the_playbook_shows_a_bar_for_every_device_and_keeps_the_drawing(play, model, tmp_path):
    run = play(
        TESTS.parent / "playbooks" / "plan.yml",
        {"model": model("llama3.1-8b"), "devices": gpus(24), "options": {"ctx_size": 8192}, "svg": str(tmp_path)},
    )
    assert run.rc == 0, run.output
    ElementTree.fromstring((tmp_path / "localhost.svg").read_text())
    assert "WWWWW" in run.output and "kv_cache" in run.output


def test_a_model_on_a_hub_is_planned_by_its_header_alone(ansible_module, tmp_path, hub, model):
    content = Path(model("nomic-embed-v1.5")).read_bytes()
    commit = hub.push("owner/model-GGUF", {"model-Q4_K_M.gguf": content})
    local = {"model": str(tmp_path / "model.gguf"), "devices": gpus(24), "options": {"ctx_size": 2048}}
    asked = {**local, "model": "owner/model-GGUF:Q4_K_M", "endpoint": hub.endpoint}
    result = ansible_module("llama_plan", asked)
    assert not result["failed"], result
    assert result["plan"] == ansible_module("llama_plan", local)["plan"]
    assert hub.ranges == [f"bytes=0-{(1 << 20) - 1}"] and len(content) > 64 << 20
    pinned = {"source": "owner/model-GGUF:Q4_K_M", "revision": commit}
    assert ansible_module("llama_plan", {**asked, "model": pinned})["plan"] == result["plan"]
    missing = ansible_module("llama_plan", {**asked, "revision": "v9"})
    assert missing["failed"] and "v9" in missing["msg"]
    drafting = ansible_module("llama_plan", {**asked, "draft": "model-Q4_K_M.gguf"})
    assert drafting["plan"]["devices"][0]["components"]["draft"]["bytes"] > len(content) // 2


def test_a_model_set_is_planned_by_its_name_and_by_its_reference(ansible_module, tmp_path, hub):
    hub.push("owner/tiny-GGUF", {"tiny-Q8_0.gguf": TINY})
    common = {"root": str(tmp_path / "root"), "scope": "user"}
    reference = "owner/tiny-GGUF:Q8_0"
    models = [{"name": "chat", "source": reference}]
    assert not ansible_module("gguf_model", {**common, "models": models, "endpoint": hub.endpoint})["failed"]
    asked = {**common, "devices": gpus(1), "options": {"ctx_size": 256}}
    named = ansible_module("llama_plan", {**asked, "model": "chat"})
    assert not named["failed"], named
    requests = len(hub.requests)
    for model in (reference, {"ref": reference}):
        assert (
            ansible_module("llama_plan", {**asked, "model": model, "endpoint": hub.endpoint})["plan"] == named["plan"]
        )
    assert len(hub.requests) == requests, "what is on the host needs no hub"
    other = ansible_module("llama_plan", {**asked, "model": "talk"})
    assert other["failed"] and "no model set 'talk'" in other["msg"]


def test_the_pictures_are_returned(ansible_module, model):
    result = ansible_module("llama_plan", {"model": model("gpt2-xl-tied"), "devices": gpus(24)})
    assert result["table"][0].startswith("gpt2: fits")
    ElementTree.fromstring(result["svg"])
    assert json.dumps(result["table"]).count("WWW")
