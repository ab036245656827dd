# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The presets file of a router, on the recorded help of a real build."""

from __future__ import annotations

import dataclasses
import os

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import tinymodel
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput, Prerequisite
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import definition, router
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
        return router.presets(open_tree(str(tmp_path / "root"), "user"), read(models), build, {})[0]

    return text


def test_a_section_a_model(text_of, model):
    text = text_of(
        {
            "chat": {"model": model, "ctx_size": 2048, "load": True, "alias": ["other"], "jinja": False},
            "embed": {"model": model, "kind": "embedding", "options": {"pooling": "mean", "fa": True}},
        }
    )
    found = router.sections(text)
    assert found["chat"].split("\n")[1:-1][:6] == [
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
    assert router.differences(before, text_of({"a": {"model": model}}))["changed"] == ["a"]


def test_differences(text_of, model):
    before = text_of({"a": {"model": model}, "b": {"model": model}, "c": {"model": model}})
    after = text_of({"a": {"model": model}, "b": {"model": model, "parallel": 2}, "d": {"model": model}})
    assert router.differences(before, after) == {"added": ["d"], "changed": ["b"], "removed": ["c"]}


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
