# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions as users put them: defaults of the server, mistakes, the document, and its pictures."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
import recorded
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput, Untrusted
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory import answer, picture
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.plan import Model
from hypothesis import given
from hypothesis import strategies as st

GIB = 1 << 30
CARD = {"id": "GPU-a", "backend": "cuda", "total": 24 * GIB, "name": "Card <1>"}


def model(name: str) -> Model:
    return Model(recorded.header(name))


def ask(name: str, options: dict, devices: list | None = None, allow: tuple[str, ...] = ()) -> dict:
    return answer.answer(model(name), options, [CARD] if devices is None else devices, allow, 4096)


def test_what_is_not_given_is_as_llama_server_has_it() -> None:
    found = answer.launch(model("qwen3-4b-tied"), {})
    assert (found.parallel, found.kv_unified, found.ctx_size, found.n_outputs_max) == (4, True, 262144, 4)
    assert answer.launch(model("qwen3-4b-tied"), {"parallel": 4}).kv_unified is False


def test_what_the_server_may_choose_is_as_it_chooses() -> None:
    found = answer.launch(model("qwen3-4b-tied"), {"parallel": -1, "kv_unified": False, "gpu_layers": "auto"})
    assert (found.parallel, found.kv_unified, found.gpu_layers) == (4, True, -1)
    assert answer.launch(model("qwen3-30b-a3b"), {"cpu_moe": True}).n_cpu_moe == 48


@pytest.mark.parametrize(
    ("options", "drafts", "outputs", "states"),
    [
        ({}, False, 4, 0),
        ({"spec_type": "draft-mtp"}, False, 16, 3),
        ({"spec_type": "mtp", "spec_draft_n_max": 5}, False, 24, 5),
        ({"draft_max": 7}, True, 32, 0),
        ({"spec_type": "draft-eagle3"}, True, 16, 3),
        ({"spec_type": "ngram-mod,draft-mtp"}, False, 4 * 65, 3),
        ({"spec_type": "none"}, False, 4, 0),
    ],
)
def test_tokens_drafted_ahead_are_counted(options: dict, drafts: bool, outputs: int, states: int) -> None:
    found = answer.launch(model("qwen3.6-27b-mtp"), options, drafts)
    assert (found.n_outputs_max, found.draft_max) == (outputs, states)


def test_a_draft_model_keeps_a_cache_of_its_own_type_at_the_full_context() -> None:
    draft = recorded.header("llama3.2-1b-tied")
    cards = [CARD, {**CARD, "id": "GPU-b"}]
    both = {
        key: sum(
            device["components"]["draft"]["bytes"]
            for device in answer.answer(
                model("llama3.1-8b"), {"ctx_size": 32768, "tensor_split": "16,17", **more}, cards, (), 4096, 0, draft
            )["plan"]["devices"]
        )
        for key, more in {
            "plain": {},
            "quantised": {"cache_type_k": "q8_0", "cache_type_v": "q8_0"},
            "draft": {"spec_draft_type_k": "q8_0", "spec_draft_type_v": "q8_0"},
        }.items()
    }
    assert both["plain"] == both["quantised"]
    assert both["plain"] - both["draft"] == 16 * 2 * 512 * 32768 * (2 - 34 / 32)


def test_a_split_that_is_given_says_how_many_devices_are_used() -> None:
    cards = [{**CARD, "id": name} for name in "abc"]
    both = ask("llama3.1-8b", {"ctx_size": 8192, "tensor_split": "16,17"}, cards)["plan"]["options"]
    assert (both["device"], both["tensor_split"]) == (["a", "b"], [16, 17])
    assert len(ask("llama3.3-70b", {"split_mode": "none"}, cards)["plan"]["devices"]) == 1
    assert len(ask("llama3.3-70b", {"ctx_size": 8192}, cards)["plan"]["devices"]) == 3


def test_no_checkpoints_are_none_and_a_cache_without_limit_is_said() -> None:
    plan = ask("llama3.1-8b", {"ctx_size": 8192, "ctx_checkpoints": 0, "cache_ram": -1})["plan"]
    assert not {"checkpoints", "prompt_cache"} & set(plan["host"]["components"])
    assert any("no limit" in reason for reason in plan["reasons"])


def test_embedding_models_take_whole_batches() -> None:
    found = answer.launch(model("bge-m3"), {"ubatch_size": 2048})
    assert (found.embeddings, found.batch_size, found.n_outputs_max) == (True, 2048, 0)


def test_models_that_draft_for_themselves_keep_more_states() -> None:
    plain = ask("qwen3.6-27b-mtp", {"ctx_size": 8192, "parallel": 1})["plan"]["devices"][0]["components"]
    drafting = ask("qwen3.6-27b-mtp", {"ctx_size": 8192, "parallel": 1, "spec_type": "draft-mtp"})
    drafting = drafting["plan"]["devices"][0]["components"]
    assert drafting["recurrent_state"]["bytes"] == 4 * plain["recurrent_state"]["bytes"]
    assert drafting["draft"]["bytes"] > 0 and "draft" not in plain


def test_every_cell_says_how_it_is_known() -> None:
    found = ask("llama3.1-8b", {"ctx_size": 8192})
    device = found["plan"]["devices"][0]
    assert {name: cell["kind"] for name, cell in device["components"].items()} == {
        "weights": "exact",
        "kv_cache": "exact",
        "compute": "model",
        "driver_context": "bound",
        "headroom": "bound",
    }
    assert device["sum"] == sum(cell["bytes"] for cell in device["components"].values())
    assert device["left"] == 24 * GIB - device["sum"]
    assert json.loads(json.dumps(found)) == found


def test_an_unknown_architecture_is_never_planned_silently() -> None:
    packed = recorded.models()["llama3.2-1b-tied"]
    metadata = {key.replace("llama.", "newest.", 1): value for key, value in packed["metadata"].items()}
    metadata["general.architecture"] = "newest"
    unknown = Model(recorded.make_header(metadata, recorded.unpack(packed["tensors"])))
    found = answer.answer(unknown, {"ctx_size": 8192}, [CARD], (), 4096)
    known = ask("llama3.2-1b-tied", {"ctx_size": 8192})
    assert (known["confidence"], found["confidence"]) == ("high", "low")
    assert any("newest" in reason for reason in found["plan"]["reasons"])
    cells, others = (item["plan"]["devices"][0]["components"] for item in (found, known))
    assert cells["weights"] == others["weights"] and cells["headroom"]["bytes"] > others["headroom"]["bytes"]


@pytest.mark.parametrize(
    ("options", "devices", "message"),
    [
        ({"ctx_sizes": 1}, [], "Did you mean ctx_size"),
        ({"ctx_size": "many"}, [], "whole number"),
        ({"ctx_size": "\N{SUPERSCRIPT TWO}"}, [], "whole number"),
        ({"ctx_size": "--5"}, [], "whole number"),
        ({"ubatch_size": -1}, [], "from 0"),
        ({"parallel": 0}, [], "one sequence"),
        ({"spec_type": "draft-mpt"}, [], "draft-mtp"),
        ({"spec_type": "draft-mtp"}, [], "no layers that draft"),
        ({"gpu_layers": 1, "n_gpu_layers": 2}, [], "twice"),
        ({"flash_attn": "maybe"}, [], "on or off"),
        ({"split_mode": "row"}, [], "layer and none"),
        ({"cache_type_k": "q9"}, [], "not known"),
        ({}, [{"backend": "cuda", "total": 1}], "no id"),
        ({}, [{"id": "a", "backend": "cude", "total": 1}], "backend"),
        ({}, [{"id": "a", "backend": "cuda", "total": "24G"}], "total memory"),
        ({}, [{**CARD}, {**CARD}], "twice"),
        ({"tensor_split": "3,1", "gpu_layers": 4}, [CARD, {**CARD, "id": "b"}, {**CARD, "id": "c"}], None),
    ],
)
def test_mistakes_are_named(options: dict, devices: list, message: str | None) -> None:
    if message is None:
        assert ask("llama3.1-8b", options, devices)["plan"]["options"]["gpu_layers"] == 4
        return
    with pytest.raises(InvalidInput, match=message):
        ask("llama3.1-8b", options, devices)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("llama.block_count", 0),
        ("llama.block_count", 5000),
        ("llama.embedding_length", 1 << 40),
        ("llama.attention.head_count_kv", (1, 2)),
        ("llama.context_length", -1),
    ],
)
def test_hyperparameters_that_make_no_model_are_refused(key: str, value: object) -> None:
    packed = recorded.models()["llama3.2-1b-tied"]
    with pytest.raises(Untrusted):
        Model(recorded.make_header({**packed["metadata"], key: value}, recorded.unpack(packed["tensors"])))


@given(st.dictionaries(st.sampled_from(answer.OPTIONS), st.integers(-2, 1 << 33) | st.text(max_size=5) | st.booleans()))
def test_options_of_any_kind_end_in_a_plan_or_in_a_sentence(options: dict) -> None:
    try:
        found = ask("llama3.2-1b-tied", options)
    except InvalidInput as exc:
        assert exc.problem
    else:
        assert found["plan"]["rung"]


def test_the_pictures_show_every_device_and_escape_what_strangers_wrote() -> None:
    found = ask("qwen3-30b-a3b", {"ctx_size": 32768}, [{**CARD, "total": 16 * GIB}], ("n_cpu_moe",))
    lines = picture.text(found)
    assert lines[0].startswith("qwen3moe: fits (n_cpu_moe") and any("WWWW" in line for line in lines)
    drawing = picture.svg(found)
    ElementTree.fromstring(drawing)
    assert "Card &lt;1&gt;" in drawing


def test_a_plan_that_does_not_fit_says_what_is_missing() -> None:
    lines = picture.text(ask("llama3.3-70b", {"ctx_size": 8192}))
    assert "DOES NOT FIT" in lines[0] and any("MISSING" in line for line in lines)
