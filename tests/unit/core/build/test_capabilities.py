# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a capability document from recorded and from arbitrary output."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import command
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import capabilities
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import LlamaOpsError, NotProven
from hypothesis import given
from hypothesis import strategies as st

RECORDED = Path(__file__).parents[3] / "fixtures" / "recorded"
HELP = (RECORDED / "llama-server-help.txt").read_text(encoding="utf-8")
VERSION = (RECORDED / "llama-server-version.txt").read_text(encoding="utf-8")

# what older releases print, in the same layout
OLD_HELP = """----- common params -----

-c,    --ctx-size N                     size of the prompt context (default: 4096)
-m,    --model FNAME                    model path
-fa,   --flash-attn                     enable Flash Attention (default: disabled)
-nkvo, --no-kv-offload                  disable KV offload
--no-mmap                               do not memory-map model
--lora FNAME                            path to LoRA adapter (can be repeated to use multiple adapters)
--lora-scaled FNAME SCALE               path to LoRA adapter with user defined scaling (can be repeated to use
                                        multiple adapters)
--port PORT                             port to listen (default: 8080)
"""


def answering(version: str, text: str, rc: int = 0):
    def execute(argv):
        if argv[1] == "--version":
            return command.Result(tuple(argv), rc, "", version, 0.0)
        return command.Result(tuple(argv), rc, text, "", 0.0)

    return execute


@pytest.fixture(scope="module")
def document():
    return capabilities.read("llama-server", answering(VERSION, HELP))


def option(document, name):
    return next(entry for entry in document["options"] if entry["name"] == name)


def test_counts_of_the_recorded_help_agree_with_its_lines(document):
    flag_lines = [line for line in HELP.split("\n") if line.startswith("-") and not line.startswith("-----")]
    spellings = [word for entry in document["options"] for word in entry["names"] + entry["negative"]]
    assert len(document["options"]) == len(flag_lines) == 255
    assert len(spellings) == len(set(spellings)) == 412
    assert sum(bool(entry["env"]) for entry in document["options"]) == HELP.count("(env: ") == 148


def test_head_of_the_document(document):
    assert {key: document[key] for key in ("schema", "version", "build_number", "commit")} == {
        "schema": 1,
        "version": "0.5.0-dev",
        "build_number": 0,
        "commit": "a832db0",
    }
    assert document["speculative"][:2] == ["none", "draft-simple"]
    assert {entry["section"] for entry in document["options"]} == {
        "common",
        "sampling",
        "speculative",
        "example-specific",
    }


def test_document_survives_json(document):
    assert json.loads(json.dumps(document)) == document


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("--ctx-size", {"names": ["-c", "--ctx-size"], "takes": 1, "number": True, "env": ["LLAMA_ARG_CTX_SIZE"]}),
        ("--flash-attn", {"values": ["on", "off", "auto"], "takes": 1, "separator": None}),
        ("--rope-scaling", {"values": ["none", "linear", "yarn"]}),
        ("--cpu-strict", {"values": ["0", "1"], "takes": 1}),
        ("--poll", {"values": None, "takes": 1}),
        ("--cache-type-k", {"values": ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"]}),
        ("--lazy-mode", {"values": ["on", "auto", "off"]}),
        ("--load-mode", {"values": ["auto", "none", "mmap", "mlock", "mmap+mlock", "dio"]}),
        ("--reasoning-format", {"values": ["none", "deepseek", "deepseek-legacy", "auto"]}),
        ("--gpu-layers", {"values": ["auto", "all"], "number": True, "takes": 1}),
        ("--verbosity", {"values": None, "number": True}),
        (
            "--kv-offload",
            {
                "names": ["-kvo", "--kv-offload"],
                "negative": ["-nkvo", "--no-kv-offload"],
                "env": ["LLAMA_ARG_KV_OFFLOAD", "LLAMA_ARG_NO_KV_OFFLOAD"],
                "takes": 0,
            },
        ),
        ("--repack", {"names": ["--repack"], "negative": ["-nr", "--no-repack"]}),
        ("--mmproj-auto", {"names": ["--mmproj-auto"], "negative": ["--no-mmproj", "--no-mmproj-auto"]}),
        ("--no-host", {"names": ["--no-host"], "negative": [], "takes": 0}),
        ("--control-vector-layer-range", {"takes": 2, "values": None}),
        ("--override-tensor", {"takes": 1, "separator": ",", "accumulates": False}),
        ("--device", {"values": None, "separator": ","}),
        ("--samplers", {"separator": ";", "values": None}),
        ("--logit-bias", {"accumulates": True, "separator": None}),
        ("--docker-repo", {"takes": 1, "values": None}),
        ("--fim-qwen-1.5b-default", {"downloads": True, "takes": 0}),
        ("--lora", {"downloads": False, "separator": ","}),
        ("--draft", {"removed": "use --spec-draft-n-max or --spec-ngram-mod-n-max"}),
    ],
)
def test_one_option(document, name, expected):
    entry = option(document, name)
    assert {key: entry[key] for key in expected} == expected


def test_older_help_and_version():
    document = capabilities.read("server", answering("version: 4567 (abc1234)\nbuilt with cc", OLD_HELP))
    assert (document["version"], document["build_number"], document["commit"]) == ("b4567", 4567, "abc1234")
    assert option(document, "--flash-attn")["takes"] == 0
    assert option(document, "--no-kv-offload")["names"] == ["-nkvo", "--no-kv-offload"]
    assert option(document, "--lora")["accumulates"] is True
    assert option(document, "--lora-scaled")["takes"] == 2
    assert document["speculative"] == []


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("ctx_size", ("--ctx-size", True)),
        ("c", ("--ctx-size", True)),
        ("C", ("--cpu-mask", True)),
        ("--ctx_size", ("--ctx-size", True)),
        ("n_gpu_layers", ("--gpu-layers", True)),
        ("no_kv_offload", ("--kv-offload", False)),
        ("nkvo", ("--kv-offload", False)),
        ("no-host", ("--no-host", True)),
        ("reranking", ("--rerank", True)),
    ],
)
def test_find_knows_every_spelling(document, spelling, expected):
    found = capabilities.Capabilities(document).find(spelling)
    assert found is not None
    assert (found[0].name, found[1]) == expected


@pytest.mark.parametrize("spelling", ["", "-", "ctx", "no_metrics", "ctx size", "--ctx-size=1"])
def test_find_does_not_guess(document, spelling):
    assert capabilities.Capabilities(document).find(spelling) is None


@pytest.mark.parametrize(
    ("version", "text", "says"),
    [
        (VERSION, "", "lacks --model, --port, --ctx-size"),
        (VERSION, "usage: something else\n  --model M\n", "lacks --model"),
        (VERSION, HELP.replace("--port PORT", "--tcp  PORT"), "lacks --port"),
        ("built with GNU", HELP, "version"),
        (VERSION, HELP + " " * (1 << 20), "characters"),
    ],
)
def test_what_is_no_llama_server_is_an_error(version, text, says):
    with pytest.raises(NotProven, match=says):
        capabilities.read("server", answering(version, text))


@pytest.mark.parametrize(("rc", "says"), [(127, "shared library"), (-4, "illegal instruction"), (1, "SIG|status 1")])
def test_a_program_that_fails_says_why(rc, says):
    with pytest.raises(NotProven, match=says):
        capabilities.read("server", answering("", "", rc))


def test_output_of_a_real_program(tmp_path):
    server = tmp_path / "llama-server"
    server.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && exec cat {RECORDED}/llama-server-version.txt >&2\n'
        f"exec cat {RECORDED}/llama-server-help.txt\n"
    )
    os.chmod(server, 0o755)
    document = capabilities.read(str(server), lambda argv: command.run(argv, timeout=10))
    assert len(document["options"]) == 255


heads = st.from_regex(r"-{0,2}[a-z-]{0,8}(,? +-{0,2}[\w-]{0,8}){0,3}( [<\[{]?[\w|,.]{0,9}[>\]}]?)?", fullmatch=True)
lines = st.one_of(st.text(max_size=60), heads, st.text(max_size=60).map(lambda text: " " * 40 + text))


@given(st.lists(lines, max_size=12).map("\n".join))
def test_arbitrary_help_is_read_or_refused(text):
    for source in (text, OLD_HELP[:200] + text + OLD_HELP[200:]):
        try:
            options = capabilities.parse_help(source)
        except LlamaOpsError:
            continue
        assert all(entry.names and entry.takes >= 0 for entry in options)


@given(st.text())
def test_arbitrary_version_is_read_or_refused(text):
    try:
        capabilities.parse_version("version: " + text)
    except LlamaOpsError:
        pass
