# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merging the dictionaries of an inventory."""

from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.inventory import (
    merge_instances,
    model_name,
)

CHAT = {"model": "tiny", "port": 8080}


def test_groups_add_to_each_other():
    merged = merge_instances({"llama_instances__b": {"b": CHAT}, "llama_instances": {"a": CHAT}}, {}, {"tiny": ""})
    assert [item["name"] for item in merged] == ["a", "b"]


def test_the_same_entry_twice_is_one():
    assert len(merge_instances({"x": {"a": CHAT}, "y": {"a": dict(CHAT)}}, {}, {"tiny": ""})) == 1


def test_two_contents_of_one_name_are_an_error_that_names_both_variables():
    with pytest.raises(InvalidInput, match="'a' stands in x and in y"):
        merge_instances({"x": {"a": CHAT}, "y": {"a": {**CHAT, "port": 1}}}, {}, {"tiny": ""})


def test_defaults_are_filled_in_and_options_merged():
    defaults = {"bind": "private", "options": {"metrics": True, "slots": False}}
    entry = {**CHAT, "bind": "loopback", "options": {"slots": None}}
    (merged,) = merge_instances({"x": {"a": entry}}, defaults, {"tiny": ""})
    assert merged["bind"] == "loopback"
    assert merged["options"] == {"metrics": True, "slots": None}


@pytest.mark.parametrize(
    ("sources", "defaults", "said"),
    [
        ({"x": {"a": {**CHAT, "modle": 1}}}, {}, "x: a has no key 'modle'. Did you mean model"),
        ({"x": {"a": CHAT}}, {"bnd": 1}, "llama_instances_defaults has no key 'bnd'"),
        ({"x": {"A B": CHAT}}, {}, "cannot name"),
        ({"x": {"a": "tiny"}}, {}, "x: a must be a dictionary"),
        ({"x": [CHAT]}, {}, "x must be a dictionary"),
        ({"x": {"a": {"model": 5, "port": 1}}}, {}, "names no model"),
    ],
)
def test_wrong_inventories_are_refused(sources, defaults, said):
    with pytest.raises(InvalidInput, match=said):
        merge_instances(sources, defaults, {"tiny": ""})


def test_a_restart_names_instances_of_some_host():
    sources = {"x": {"chat": CHAT}}
    (merged,) = merge_instances(sources, {}, {"tiny": ""}, ["chat", "embed"], ["embed"])
    assert (merged["name"], merged["state"]) == ("chat", "restarted")
    with pytest.raises(InvalidInput, match=r"no instance 'embd'.*Did you mean embed\?"):
        merge_instances(sources, {}, {"tiny": ""}, ["embd"], ["embed"])
    with pytest.raises(InvalidInput, match=r"no instance 'x'.*There are: chat, embed\."):
        merge_instances(sources, {}, {"tiny": ""}, ["x"], ["embed"])


def test_what_a_model_may_be():
    assert model_name("tiny", {"tiny": {}}) == "tiny"
    assert model_name("/m/a.gguf", {}) == "/m/a.gguf"
    named = model_name("Qwen/Qwen3-8B-GGUF:Q4_K_M", {})
    assert named == model_name({"ref": "Qwen/Qwen3-8B-GGUF:Q4_K_M"}, {})
    assert named.startswith("qwen")


def test_references_are_names_of_sets_wherever_they_stand():
    reference = "Qwen/Qwen3-8B-GGUF:Q4_K_M"
    name = model_name(reference, {})
    entry = {
        "port": 1,
        "models": {"a": {"model": reference, "spec": {"type": "draft-simple", "draft": reference}}},
        "lora": [reference, {"file": reference, "scale": 2}, "/l.gguf"],
        "spec": {"type": "draft-mtp", "draft": "own"},
    }
    (merged,) = merge_instances({"x": {"r": entry}}, {}, {})
    assert merged["models"]["a"] == {"model": name, "spec": {"type": "draft-simple", "draft": name}}
    assert merged["lora"] == [name, {"file": name, "scale": 2}, "/l.gguf"]
    assert merged["spec"]["draft"] == "own"
