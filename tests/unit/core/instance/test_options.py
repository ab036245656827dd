# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of an instance against the recorded help of a real llama-server."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import capabilities
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import options
from hypothesis import given
from hypothesis import strategies as st

HELP = (Path(__file__).parents[3] / "fixtures" / "recorded" / "llama-server-help.txt").read_text(encoding="utf-8")
OPTIONS = capabilities.parse_help(HELP)
DOCUMENT = {"schema": 1, "version": "0.5.0-dev", "options": [asdict(option) for option in OPTIONS]}
FIELDS = {"--ctx-size": "ctx_size", "--rerank": "kind"}


@pytest.mark.parametrize(
    ("given_options", "argv"),
    [
        ({}, []),
        ({"batch_size": 512}, ["--batch-size", "512"]),
        ({"--batch_size": 512}, ["--batch-size", "512"]),
        ({"b": "512"}, ["--batch-size", "512"]),
        ({"-b": 512}, ["--batch-size", "512"]),
        ({"n_gpu_layers": "all"}, ["--gpu-layers", "all"]),
        ({"ngl": 12}, ["--gpu-layers", "12"]),
        ({"threads": -1}, ["--threads", "-1"]),
        ({"threads": "-1"}, ["--threads", "-1"]),
        ({"temp": 0.7}, ["--temp", "0.7"]),
        ({"min_p": 1e-05}, ["--min-p", "0.00001"]),
        ({"rope_freq_base": 1e16}, ["--rope-freq-base", "10000000000000000"]),
        # YAML reads an unquoted on as true
        ({"flash_attn": True}, ["--flash-attn", "on"]),
        ({"fa": False}, ["--flash-attn", "off"]),
        ({"flash_attn": "auto"}, ["--flash-attn", "auto"]),
        ({"lazy_mode": True}, ["--lazy-mode", "on"]),
        ({"metrics": True}, ["--metrics"]),
        ({"slots": False}, ["--no-slots"]),
        ({"kv_offload": False}, ["--no-kv-offload"]),
        ({"no_kv_offload": True}, ["--no-kv-offload"]),
        ({"no_kv_offload": False}, ["--kv-offload"]),
        ({"no_host": True}, ["--no-host"]),
        ({"no_mmproj": True}, ["--no-mmproj"]),
        ({"webui": False}, ["--no-ui"]),
        ({"pooling": "none"}, ["--pooling", "none"]),
        ({"reasoning_format": "auto"}, ["--reasoning-format", "auto"]),
        ({"cpu_strict": 1}, ["--cpu-strict", "1"]),
        ({"tensor_split": [3, 1]}, ["--tensor-split", "3,1"]),
        ({"tensor_split": "3,1"}, ["--tensor-split", "3,1"]),
        ({"samplers": ["top_k", "temperature"]}, ["--samplers", "top_k;temperature"]),
        ({"spec_type": ["ngram-mod", "draft-mtp"]}, ["--spec-type", "ngram-mod,draft-mtp"]),
        ({"spec_type": "ngram-mod,draft-mtp"}, ["--spec-type", "ngram-mod,draft-mtp"]),
        ({"reverse_prompt": ["a,b", "c"]}, ["--reverse-prompt", "a,b", "--reverse-prompt", "c"]),
        ({"control_vector_layer_range": [1, 4]}, ["--control-vector-layer-range", "1", "4"]),
        ({"logit_bias": "15043-1"}, ["--logit-bias", "15043-1"]),
        ({"chat_template_kwargs": '{"a": [1, 2]}'}, ["--chat-template-kwargs", '{"a": [1, 2]}']),
        ({"metrics": None}, []),
        ({"not_in_this_build": None}, []),
        ({"ctx_size": None}, []),
        ({"agent": False}, ["--no-agent"]),
        ({"no_agent": True}, ["--no-agent"]),
        ({"threads": 2, "metrics": True, "batch_size": 9}, ["--batch-size", "9", "--metrics", "--threads", "2"]),
    ],
)
def test_rendering(given_options, argv):
    assert options.resolve(DOCUMENT, given_options, fields=FIELDS) == argv


@pytest.mark.parametrize(
    ("given_options", "says"),
    [
        ({"bath_size": 1}, r"no option 'bath_size'.*batch_size.*llama_build"),
        ({"Metrics": True}, "no option"),
        ({7: 1}, "no option '7'"),
        ({"": 1}, "no option"),
        ({"x" * 9000: 1}, "no option 'x{60}'"),
        ({"b": 1, "batch-size": 2}, "b and batch-size are both --batch-size"),
        ({"b": None, "batch-size": 2}, "b and batch-size are both --batch-size"),
        ({"kv_offload": True, "no_kv_offload": None}, "are both --kv-offload"),
        ({"draft_max": 4}, r"removed.*--spec-draft-n-max or --spec-ngram-mod-n-max"),
        ({"ctx_size": 4096}, "field ctx_size"),
        ({"c": 4096}, "field ctx_size"),
        ({"reranking": True}, "field kind"),
        ({"host": "0.0.0.0"}, "field bind"),
        ({"api_key": "x"}, "field keys"),
        ({"dev": "CUDA0"}, "field devices"),
        ({"m": "/x"}, "field model"),
        ({"fitt": 1024}, "field plan"),
        ({"no_log_jsonl": True}, "same for every instance"),
        ({"lv": 4}, "same for every instance"),
        ({"hf": "a/b"}, "download.*gguf_model"),
        ({"gpt_oss_20b_default": True}, "download"),
        ({"list_devices": True}, "print"),
        ({"h": True}, "print"),
        ({"tools": "all"}, "add tools to allow_unsafe"),
        ({"ag": True}, "add agent to allow_unsafe"),
        ({"no_ui_mcp_proxy": False}, "add ui_mcp_proxy to allow_unsafe"),
        ({"path": "/srv"}, "add path to allow_unsafe"),
        ({"metrics": False}, "cannot be switched off"),
        ({"metrics": 1}, "takes no value"),
        ({"metrics": "on"}, "takes no value"),
        ({"threads": True}, "needs a value"),
        ({"split_mode": True}, "needs a value.*none or layer or row or tensor"),
        ({"threads": "four"}, "cannot be 'four'.*a number"),
        ({"threads": "4x"}, "cannot be '4x'"),
        ({"threads": "1e3"}, "cannot be '1e3'"),
        ({"threads": "٤"}, "cannot be"),
        ({"parallel": "auto"}, "cannot be 'auto'"),
        ({"gpu_layers": "some"}, "a number or auto or all"),
        ({"split_mode": "rows"}, "none or layer or row or tensor"),
        ({"flash_attn": 1}, "on or off or auto"),
        ({"spec_type": ["ngram-mod", "mtp"]}, "cannot be 'mtp'"),
        ({"spec_type": "ngram-mod,mtp"}, "cannot be 'mtp'"),
        ({"batch_size": [1, 2]}, "one value, not a list"),
        ({"tensor_split": []}, "empty list"),
        ({"lora": ["a,b.gguf", "c.gguf"]}, "item 'a,b.gguf'"),
        ({"lora": [None]}, "NoneType"),
        ({"lora": [["a"]]}, "not list"),
        ({"cors_origins": [True]}, "not bool"),
        ({"chat_template_kwargs": {"a": 1}}, "not dict"),
        ({"control_vector_layer_range": 3}, "needs 2 values"),
        ({"control_vector_layer_range": [1, 2, 3]}, "needs 2 values"),
        ({"api_prefix": ""}, "empty"),
        ({"api_prefix": "--port"}, "begins with a dash"),
        ({"rope_scaling": "-yarn"}, "begins with a dash"),
        ({"chat_template": "a\nb"}, "line break"),
        ({"chat_template": "a\0b"}, "control character"),
        ({"chat_template": "a\u2028b"}, "line break"),
        ({"chat_template": "a\udc80b"}, "control character"),
        ({"temp": float("nan")}, "no number"),
        ({"temp": float("inf")}, "no number"),
        ({"threads": 10**5000}, "no number"),
    ],
)
def test_refusals(given_options, says):
    with pytest.raises(InvalidInput, match=says):
        options.resolve(DOCUMENT, given_options, fields=FIELDS)


@pytest.mark.parametrize("word", ["slot_save_path", "slot-save-path", "--slot-save-path"])
def test_a_dangerous_option_may_be_allowed_in_any_spelling(word):
    argv = options.resolve(DOCUMENT, {"slot_save_path": "/x"}, allow_unsafe=[word])
    assert argv == ["--slot-save-path", "/x"]


def test_one_permission_is_no_other():
    with pytest.raises(InvalidInput, match="add tools"):
        options.resolve(DOCUMENT, {"tools": "all"}, allow_unsafe=["agent"])


@pytest.mark.parametrize("word", ["metrics", "tool", "host", ""])
def test_permissions_name_unsafe_options_only(word):
    with pytest.raises(InvalidInput, match="is no unsafe option"):
        options.resolve(DOCUMENT, {}, allow_unsafe=[word])


@pytest.mark.parametrize(
    "table", [options.OWNED, options.FIXED, options.REMOTE, options.PROBES, options.DANGEROUS], ids=range(5)
)
def test_tables_name_flags_that_exist(table):
    assert sorted(set(table) - {option.name for option in OPTIONS}) == []


def test_tables_do_not_overlap():
    tables = [set(options.OWNED), options.FIXED, options.REMOTE, options.PROBES, set(options.DANGEROUS)]
    assert sum(map(len, tables)) == len(set().union(*tables))


def test_every_flag_that_upstream_warns_of_is_in_a_table():
    entries = HELP.split("\n-")
    warned = [
        "-" + entry.split(" ")[0].split(",")[0] for entry in entries if "do not enable in" in " ".join(entry.split())
    ]
    known = capabilities.Capabilities(DOCUMENT)
    assert len(warned) == 5
    assert {known.find(word)[0].name for word in warned} <= set(options.DANGEROUS)


def test_every_model_source_is_in_a_table():
    sources = [option for option in OPTIONS if any(word in option.name for word in ("-url", "hf-", "docker"))]
    assert {option.name for option in sources} <= options.REMOTE


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(["on", "1"])
)
values = st.one_of(scalars, st.lists(scalars, max_size=3), st.dictionaries(st.text(max_size=2), scalars, max_size=1))
spellings = st.sampled_from([name for option in OPTIONS for name in option.names + option.negative])


@given(st.dictionaries(st.one_of(spellings, st.text(max_size=9)), values, max_size=3))
def test_whatever_comes_is_arguments_or_a_refusal(wanted):
    try:
        argv = options.resolve(DOCUMENT, wanted, allow_unsafe=["tools", "path"])
    except InvalidInput:
        return
    takes = {name: option.takes for option in OPTIONS for name in option.names + option.negative}
    position = 0
    while position < len(argv):
        arguments = argv[position + 1 : position + 1 + takes[argv[position]]]
        assert len(arguments) == takes[argv[position]]
        assert not [word for word in arguments if not word or word in takes or "\n" in word or "\0" in word]
        position += 1 + len(arguments)
