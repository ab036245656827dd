# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The presets file of a router, on the recorded help of a real build."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import tinymodel
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput, Prerequisite
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import (
    children,
    definition,
    loaded,
    presets,
    router,
    served,
)
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.record import Record
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory import loadlog
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import open_tree
from fixtures.recorded_build import build_in


@pytest.fixture
def build(tmp_path):
    return build_in(tmp_path / "b1")


@pytest.fixture
def model(tmp_path):
    tinymodel.write(str(tmp_path / "tiny.gguf"))
    return str(tmp_path / "tiny.gguf")


def read(models):
    return definition.read({"name": "all", "kind": "router", "port": 8080, "models": models})


@pytest.fixture
def text_of(tmp_path, build):
    def text(models):
        tree, item = open_tree(str(tmp_path / "root"), "user"), read(models)
        return router.presets(item, build, [served.find(tree, model) for model in item.models], {})

    return text


def test_a_section_a_model(text_of, model):
    text = text_of(
        {
            "chat": {"model": model, "ctx_size": 2048, "load": True, "alias": ["other"], "jinja": False},
            "embed": {"model": model, "kind": "embedding", "options": {"pooling": "mean", "fa": True}},
        }
    )
    found = presets.sections(text)
    assert found["chat"].split("\n")[:6] == [
        f"model = {model}",
        "alias = other",
        "device = none",
        "ctx-size = 2048",
        "parallel = 1",
        "no-jinja = true",
    ]
    assert "load-on-startup = true" in found["chat"]
    assert "\nembedding = true\nflash-attn = on\npooling = mean\ntags = content-" in found["embed"]
    assert "alias" not in found["embed"]


def test_another_file_under_the_same_path_is_another_section(text_of, model):
    before = text_of({"a": {"model": model}})
    assert text_of({"a": {"model": model}}) == before
    os.utime(model, (1, 1))
    assert presets.sections(before) != presets.sections(text_of({"a": {"model": model}}))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"options": {"chat_template_kwargs": '{"a": "x;y"}'}}, "cannot hold --chat-template-kwargs"),
        ({"options": {"reverse_prompt": ["a", "b"]}}, "cannot hold --reverse-prompt"),
        ({"options": {"control_vector_layer_range": [1, 2]}}, "cannot hold --control-vector-layer-range 1 2"),
        ({"options": {"bath_size": 1}}, "Did you mean batch_size"),
        ({"options": {"api_key": "x"}}, "field keys"),
        ({"options": {"c": 4}}, "field ctx_size"),
        ({"reasoning_format": "qwen3"}, "reasoning-format cannot be 'qwen3'"),
    ],
)
def test_what_a_presets_file_cannot_hold_is_refused(text_of, model, entry, said):
    with pytest.raises(InvalidInput, match=said):
        text_of({"a": {"model": model, **entry}})


def test_a_model_that_is_not_there_yet(text_of):
    with pytest.raises(Prerequisite, match="'a' names the model 'unknown'"):
        text_of({"a": {"model": "unknown"}})


def test_the_command_has_no_flag_of_a_model_and_no_key(build):
    command = router.compose(read({"a": {"model": "x"}}), build, "/r/models.ini", "/run/keys")
    assert command.env["LLAMA_ARG_API_KEY_FILE"] == "/run/keys"
    assert " --host 127.0.0.1 --port 8080 --models-preset /r/models.ini --offline " in command.line
    assert not {"--model", "--ctx-size", "--device", "--alias", "--api-key-file"} & set(command.argv)
    open_to_all = dataclasses.replace(read({"a": {"model": "x"}}), options={"models_max": 2})
    assert command.env["LLAMA_CACHE"] == "/nonexistent"
    assert "--models-max 2" in router.compose(open_to_all, build, "/r/models.ini", None).line


def plan(*devices, needed=1 << 20):
    rows = [
        {"id": name, "backend": "cuda", "vendor": "nvidia", "flag": f"CUDA{number}", "buffer": f"CUDA{number}",
         "total": 1 << 30, "components": {"weights": 5}}
        for number, name in enumerate(devices)
    ]  # fmt: skip
    return Record("asked", {"ctx_size": 1024, "gpu_layers": 9}, tuple(rows), {"components": {}, "needed": needed})


def test_each_section_has_the_flags_and_the_plan_of_its_model(tmp_path, build, model):
    item = read({"a": {"model": model}, "b": {"model": model}})
    files = [served.find(open_tree(str(tmp_path / "root"), "user"), one) for one in item.models]
    plans = {"a": plan("GPU-b"), "b": plan("GPU-a", "GPU-b")}
    text = router.presets(item, build, files, plans)
    assert "device = CUDA1\ngpu-layers = 9" in presets.sections(text)["a"]  # by its number among those of all models
    assert "device = CUDA0,CUDA1" in presets.sections(text)["b"]
    assert presets.visible(plans) == {"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"}
    assert presets.plans(text) == presets.numbered(plans)
    assert router.presets(item, build, files, presets.plans(text)) == text
    assert presets.sections(text)["a"] == presets.sections(text.replace('"needed":1048576', '"needed":9'))["a"]


def logged(text, **more):
    return json.dumps({"type": "log", "msg": text + "\n", **more})


def of_child(port, size):
    return logged(f"[{port}] " + logged(f"load_tensors:   CPU_Mapped model buffer size =     {size:.2f} MiB"))


START = "srv          load: spawning server instance with name={} on port {}"
LOG = [
    *(logged(START.format("a", 38961)), of_child(38961, 1)),
    *(logged(START.format("b", 50929)), of_child(50929, 2)),
    *(logged(START.format("a", 41000)), logged("[38961] of a child that was"), of_child(41000, 3)),
    *(logged("x", msg=["[41000] y"]), '{"cut'),
]


def test_what_children_wrote_is_read_by_model_and_only_of_the_last_load():
    found = {name: loadlog.parse(lines).buffers["host"] for name, lines in children.logs(LOG).items()}
    assert found == {"a": {"weights": 3 << 20}, "b": {"weights": 2 << 20}}


def test_a_router_is_where_it_should_be_when_all_its_loaded_models_are():
    good = {"residency": "verified", "residency_reasons": [], "actual": {"host": {"weights": 3}}}
    bad = {**good, "residency": "mismatch", "residency_reasons": ["GPU-a holds 1 MiB."]}
    assert loaded.whole({"a": good, "b": good}, 0)["residency"] == "verified"
    assert loaded.whole({"a": good, "b": good}, 0)["actual"]["host"]["weights"] == 6
    assert loaded.whole({"a": good, "b": bad}, 0)["residency"] == "mismatch"
    assert loaded.whole({}, 0)["residency_reasons"] == ["No model is loaded."]
    both = loaded.whole({"a": good, "b": bad}, 0)
    assert loaded.elsewhere(read({"a": {"model": "x"}, "b": {"model": "y"}}), both) == ["b: GPU-a holds 1 MiB."]
    allowed = read({"a": {"model": "x"}, "b": {"model": "y", "plan": {"allow_mismatch": True}}})
    assert loaded.elsewhere(allowed, both) == []
