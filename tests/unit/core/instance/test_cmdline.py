# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command lines, on the recorded help of a real build."""

from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import capabilities
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import cmdline, definition, served, spec
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.lora import Lora
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.placement import Place
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.modelset import ModelSet
from fixtures.recorded_build import HELP, build_in


@pytest.fixture
def build(tmp_path):
    return build_in(tmp_path / "b1")


def compose(build, trained=4096, key_file=None, place=Place(), **fields):  # noqa: B008
    item = definition.read({"name": "chat", "model": "tiny", "port": 8080, **fields})
    return cmdline.compose(item, build, served_by(item, trained), key_file, place)


def served_by(item, trained=4096):
    """What would be found on a host, where every set has the files /m/<set>.gguf."""
    paths = [f"/m/{adapter.file}.gguf" for adapter in item.lora]
    draft = f"/m/{item.spec.draft}.gguf" if item.spec and item.spec.draft not in ("", "own") else None
    model = ModelSet(item.model, item.model, f"/m/{item.model}.gguf", (), "llama", trained)
    lora = tuple(Lora(path, adapter.scale) for path, adapter in zip(paths, item.lora))
    return served.Served(model, item.mmproj, draft, lora)


def test_the_whole_line(build):
    command = compose(build)
    assert command.line == (
        "GGML_NO_BACKTRACE=1 XDG_CONFIG_HOME=/nonexistent "
        f"{build.folder}/bin/llama-server --host 127.0.0.1 --port 8080 --model /m/tiny.gguf --alias chat --device none "
        "--ctx-size 4096 --parallel 1 --fit off --log-jsonl --verbosity 4 --no-ui --cors-origins localhost"
    )


@pytest.mark.parametrize(
    ("fields", "trained", "expected"),
    [({}, 131072, "8192"), ({}, 2048, "2048"), ({}, None, "8192"), ({"ctx_size": 32768}, 4096, "32768")],
)
def test_the_context(build, fields, trained, expected):
    argv = compose(build, trained, **fields).argv
    assert argv[argv.index("--ctx-size") + 1] == expected


DRAFT = {"type": ["ngram-mod", "draft-simple"], "draft": "small"}


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"kind": "embedding"}, "--embedding"),
        ({"kind": "rerank"}, "--rerank"),
        ({"cache_type_k": "q8_0", "cache_type_v": "f16"}, "--cache-type-k q8_0 --cache-type-v f16"),
        ({"key_file": "/k"}, "--api-key-file /k"),
        ({"tls": {"cert": "/c.pem", "key": "/k.pem"}}, "--ssl-cert-file /c.pem --ssl-key-file /k.pem"),
        ({"mmproj": "/m/p.gguf"}, "--mmproj /m/p.gguf"),
        ({"lora": ["one", "two"]}, "--lora /m/one.gguf,/m/two.gguf"),
        ({"lora": ["one", {"file": "two", "scale": 0.5}]}, "--lora-scaled /m/one.gguf:1,/m/two.gguf:0.5"),
        ({"alias": ["b", "a"]}, "--alias b,a"),
        ({"place": Place(("CUDA1", "CUDA0"))}, "--device CUDA1,CUDA0"),
        ({"rpc": [{"host": "h", "worker": "w", "address": "10.0.0.2:50052"}]}, "--rpc 10.0.0.2:50052"),
        ({"gpu_layers": "all"}, "--gpu-layers all"),
        ({"gpu_layers": 0}, "--gpu-layers 0"),
        ({"split_mode": "row", "tensor_split": [3, 1.5], "main_gpu": 1}, "row --tensor-split 3,1.5 --main-gpu 1"),
        ({"tensor_split": "3,1"}, "--tensor-split 3,1"),
        ({"cpu_moe": True}, "--cpu-moe"),
        ({"n_cpu_moe": 12}, "--n-cpu-moe 12"),
        ({"jinja": False, "reasoning_format": "deepseek"}, "--no-jinja --reasoning-format deepseek"),
        ({"chat_template_file": "/t.jinja"}, "--chat-template-file /t.jinja"),
        ({"slots": False}, "--no-slots"),
        ({"metrics": True}, "--metrics"),
        ({"log_level": "warning"}, "--verbosity 2"),
        ({"ctx_size": "auto", "parallel": "auto", "gpu_layers": "auto"}, "--ctx-size 4096 --parallel 1"),
        ({"spec": DRAFT}, "--spec-type ngram-mod,draft-simple --spec-draft-model /m/small.gguf"),
        ({"spec": {"type": "draft-mtp", "draft": "own", "n_max": 2}}, "--spec-type draft-mtp --spec-draft-n-max 2"),
        ({"spec": {"type": "ngram-mod", "ngram": {"mod_n_match": 9}}}, "ngram-mod --spec-ngram-mod-n-match 9"),
    ],
)
def test_fields_become_flags(build, fields, part):
    assert f" {part}" in compose(build, **fields).line


def test_every_field_of_speculation_is_a_flag_of_upstream(build):
    tuning = {
        "n_max": 4,
        "n_min": 1,
        "p_min": 0.5,
        "p_split": 0.25,
        "gpu_layers": "all",
        "devices": ["none"],
        "cache_type_k": "q8_0",
        "cache_type_v": "q8_0",
        "override_tensor": "a=CPU",
        "n_cpu_moe": 1,
        "threads": 1,
        "threads_batch": 1,
        "cpu_mask": "ff",
        "cpu_mask_batch": "ff",
        "cpu_range": "0-1",
        "cpu_strict": 1,
        "cpu_strict_batch": True,
        "prio": 1,
        "prio_batch": 1,
        "poll": 1,
        "poll_batch": 0,
        "backend_sampling": False,
    }
    assert set(tuning) == set(spec.TUNING) - {"cpu_moe"}  # which n_cpu_moe excludes
    argv = compose(build, spec={**DRAFT, **tuning}).argv
    assert sum(word.startswith(("--spec-draft-", "--no-spec-draft-")) for word in argv) == len(tuning) + 1
    assert "--spec-draft-cpu-moe" in compose(build, spec={**DRAFT, "cpu_moe": True}).argv


def test_the_place_sets_its_environment(build):
    command = compose(build, place=Place(("CUDA0",), {"CUDA_VISIBLE_DEVICES": "GPU-1"}))
    assert "CUDA_VISIBLE_DEVICES=GPU-1 " in command.line


def test_tables_name_flags_that_exist():
    names = {option.name for option in capabilities.parse_help(HELP)}
    assert sorted({*cmdline.FIELDS, *cmdline.EITHER} - names) == []


def test_a_socket_needs_no_port(build):
    item = definition.read({"name": "chat", "model": "tiny", "bind": "/run/llama/chat.sock"})
    line = cmdline.compose(item, build, served_by(item), None).line
    assert "--host /run/llama/chat.sock --model" in line


@pytest.mark.parametrize("flags", [("metrics", "--metrics"), ("jinja", "--jinja")])
def test_some_fields_may_be_options_but_not_both(build, flags):
    field, flag = flags
    assert flag in compose(build, options={field: True}).argv
    with pytest.raises(InvalidInput, match=f"field {field}"):
        compose(build, options={field: True}, **{field: True})


@pytest.mark.parametrize(
    ("options", "gone", "there"),
    [
        ({"ui": True}, "--no-ui", "--ui"),
        ({"cors_origins": "*"}, "localhost", "--cors-origins *"),
        ({"webui": True}, "--no-ui", "--ui"),
    ],
)
def test_an_option_replaces_our_own_default(build, options, gone, there):
    line = " ".join(compose(build, options=options).argv)
    assert there in line
    assert gone not in line


@pytest.mark.parametrize("option", ["ctx_size", "c", "np", "embeddings", "alias", "md", "ngl", "lora"])
def test_a_field_has_one_place(build, option):
    with pytest.raises(InvalidInput, match="Instance 'chat': .* what the field "):
        compose(build, options={option: 1})


def test_a_build_without_a_flag_we_need_is_refused(tmp_path):
    old = build_in(tmp_path / "old", HELP.replace("--alias", "--nickname"))
    with pytest.raises(InvalidInput, match="b1 has no flag --alias"):
        compose(old)


def test_our_defaults_are_left_out_where_the_build_lacks_them(tmp_path):
    old = build_in(tmp_path / "old", HELP.replace("log-jsonl", "log-other"))
    assert "--log-jsonl" not in compose(old).argv


@pytest.mark.parametrize(
    ("flag", "fields", "said"),
    [
        ("--n-cpu-moe", {"n_cpu_moe": 3}, "b1 has no flag --n-cpu-moe. Build llama.cpp b6089 or newer"),
        ("--spec-type", {"spec": DRAFT}, "b1 has no flag --spec-type. Build llama.cpp b9219 or newer"),
        ("--jinja", {"jinja": True}, "b1 has no flag --jinja. Build a newer llama.cpp"),
    ],
)
def test_a_flag_the_build_lacks_is_named_with_the_first_release_that_has_it(tmp_path, flag, fields, said):
    old = build_in(tmp_path / "old", HELP.replace(flag, "--other" + flag[1:]))
    with pytest.raises(InvalidInput, match=said):
        compose(old, **fields)
