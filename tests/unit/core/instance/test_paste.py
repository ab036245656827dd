# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pasted commands, on the recorded help of a real build."""

from __future__ import annotations

import dataclasses
import shlex

import pytest
import yaml
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import capabilities
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import (
    cmdline,
    definition,
    options,
    paste,
    served,
)
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.lora import Lora
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.modelset import ModelSet
from fixtures.recorded_build import HELP, build_in
from hypothesis import given
from hypothesis import strategies as st

OPTIONS = capabilities.parse_help(HELP)
DOCUMENT = {"schema": 1, "version": "0.5.0-dev", "options": [dataclasses.asdict(option) for option in OPTIONS]}
SECRET = "sk-very-secret-0123456789"
M = "-m /m/a.gguf "


def parse(text):
    return paste.parse(text, DOCUMENT)


def entry(text):
    """The entry without what every entry has."""
    found = parse(text).entry
    return {key: value for key, value in found.items() if (key, value) not in (("port", 8080), ("model", "/m/a.gguf"))}


def test_the_example_of_the_documentation():
    found = parse(
        "llama-server -m /models/Qwen3-8B-Q4_K_M.gguf -ngl 99 -c 32768 -np 4 -fa on --host 0.0.0.0 --port 8081"
    )
    assert found.yaml == (
        "qwen3-8b-q4-k-m:\n  model: /models/Qwen3-8B-Q4_K_M.gguf\n  gpu_layers: 99\n  ctx_size: 32768\n  parallel: 4\n"
        '  bind: public\n  port: 8081\n  options: {"flash_attn": "on"}\n'
    )
    assert yaml.safe_load(found.yaml) == {found.name: found.entry}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"llama-server {M}", {}),
        (f"/opt/x/llama-server {M} --port 9000", {"port": 9000}),
        (f"llama serve {M}", {}),
        (f"exec nohup llama-server {M} > /tmp/log 2>&1 &", {}),
        (f"LLAMA_ARG_CTX_SIZE=4096 llama-server {M}", {"ctx_size": 4096}),
        (f"LLAMA_ARG_CTX_SIZE=4096 llama-server {M} -c 8192", {"ctx_size": 8192}),
        (f"env LLAMA_ARG_NO_JINJA=1 llama-server {M}", {"jinja": False}),
        (
            f"LLAMA_ARG_ENDPOINT_METRICS=1 LLAMA_ARG_ENDPOINT_SLOTS=0 llama-server {M}",
            {"metrics": True, "slots": False},
        ),
        (f"LLAMA_ARG_ENDPOINT_METRICS=0 llama-server {M}", {}),
        ("LLAMA_ARG_MODEL=/m/a.gguf llama-server", {}),
        (f"CUDA_VISIBLE_DEVICES=GPU-1,GPU-2 llama-server {M} -dev CUDA0,CUDA1", {"devices": ["GPU-1", "GPU-2"]}),
        (f"llama-server {M} --device none", {"devices": "none"}),
        (f"GGML_CUDA_P2P=1 GGML_NO_BACKTRACE=1 llama-server {M}", {"env": {"GGML_CUDA_P2P": "1"}}),
        (f"llama-server {M} --alias 'my model,other'", {"alias": ["my model", "other"]}),
        (f"llama-server {M} --embeddings --pooling mean", {"kind": "embedding", "options": {"pooling": "mean"}}),
        (f"llama-server {M} --reranking", {"kind": "rerank"}),
        (f"llama-server {M} \\\n  -ctk q8_0 \\\n  -ctv q8_0", {"cache_type_k": "q8_0", "cache_type_v": "q8_0"}),
        (f"llama-server {M} -sm row -ts 3,1 -mg 1", {"split_mode": "row", "tensor_split": "3,1", "main_gpu": 1}),
        (f"llama-server {M} -ncmoe 12 --n-gpu-layers all", {"n_cpu_moe": 12, "gpu_layers": "all"}),
        (f"llama-server {M} --lora /l/a.gguf,/l/b.gguf", {"lora": ["/l/a.gguf", "/l/b.gguf"]}),
        (f"llama-server {M} --lora-scaled /l/a.gguf:0.5", {"lora": [{"file": "/l/a.gguf", "scale": 0.5}]}),
        (f"llama-server {M} -mm /m/p.gguf", {"mmproj": "/m/p.gguf"}),
        (f"llama-server {M} --ssl-cert-file /c --ssl-key-file /k", {"tls": {"cert": "/c", "key": "/k"}}),
        (
            f"llama-server {M} --spec-type ngram-mod,draft-simple -md /m/d.gguf -ngld 9 --spec-ngram-mod-n-match 7",
            {
                "spec": {
                    "type": ["ngram-mod", "draft-simple"],
                    "draft": "/m/d.gguf",
                    "gpu_layers": 9,
                    "ngram": {"mod_n_match": 7},
                }
            },
        ),
        (f"llama-server {M} --spec-type draft-mtp", {"spec": {"type": ["draft-mtp"], "draft": "own"}}),
        (f"llama-server {M} --host /run/a.sock", {"bind": "/run/a.sock"}),
        (f"llama-server {M} --threads_batch 4 -lv 2", {"log_level": "warning", "options": {"threads_batch": 4}}),
        (f"llama-server {M} --no-webui --log-file /x --fit off", {}),
        (f"llama-server {M} -r a,b -r c", {"options": {"reverse_prompt": ["a,b", "c"]}}),
        (
            f"llama-server {M} --slot-save-path /s",
            {"options": {"slot_save_path": "/s"}, "allow_unsafe": ["slot_save_path"]},
        ),
        (f"llama-server {M} -np -1 -c 0", {"parallel": "auto"}),
        ("llama-server -hf org/Repo-GGUF:Q4_K_M", {"model": "org/Repo-GGUF:Q4_K_M"}),
    ],
)
def test_what_a_command_means(text, expected):
    found = entry(text)
    if found.get("bind", "").startswith("/"):
        assert "port" not in parse(text).entry
    assert found == expected


def test_a_unit():
    text = f"""[Unit]
Description=x
[Service]
Environment="LLAMA_ARG_CTX_SIZE=4096" GGML_X=100%%
Environment=LLAMA_API_KEY={SECRET}
ExecStart=/usr/bin/llama-server --model /m/a.gguf \\
  --alias "a b" \\
  --chat-template-kwargs "{{\\"a\\": 1}}"
Restart=always
"""
    found = parse(text)
    assert found.entry["ctx_size"] == 4096
    assert found.entry["env"] == {"GGML_X": "100%"}
    assert found.entry["options"] == {"chat_template_kwargs": '{"a": 1}'}
    assert found.entry["alias"] == ["a b"]
    assert found.entry["keys"] == ["a-b"]


@pytest.mark.parametrize(
    "text",
    [
        f"llama-server {M} --api-key {SECRET}",
        f"LLAMA_API_KEY={SECRET} llama-server {M}",
        f"HF_TOKEN={SECRET} llama-server {M}",
        f"MY_TOKEN={SECRET} llama-server {M}",
        f"llama-server {M} --hf-token {SECRET}",
        f"llama-server {M} --api-key={SECRET}",
        f"llama-server {M} --api-key {SECRET} --no-such-flag",
        f"llama-server {M} {SECRET}",
        f"llama-server {M} --api-key '{SECRET}",
        f"other-program --api-key {SECRET}",
        f"llama-server {M} --api-key {SECRET} | tee log",
    ],
)
def test_a_secret_is_never_repeated(text):
    try:
        said = repr(parse(text))
    except InvalidInput as exc:
        said = str(exc)
    assert SECRET not in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no command of llama-server"),
        ("ollama serve", "no command of llama-server"),
        ("llama-server -m", "needs 1 value"),
        ("llama-server --modle x", "no flag --modle. Did you mean --model"),
        ("llama-server --draft-max 4", "removed from llama.cpp. Upstream says: .*--spec-draft-n-max"),
        ("llama-server --ctx-size=4", "after a blank"),
        ("llama-server model.gguf", "where a flag is needed"),
        ("llama-server --list-devices", "print something and end"),
        ("llama-server -m 'a", "no closing quotation"),
        ("llama-server -m a && llama-server -m b", "more than one command"),
        ("ExecStart=llama-server -m a\nExecStart=llama-server -m b\n", "2 commands"),
        ("x" * 70000, "at most 65536"),
    ],
)
def test_what_cannot_be_read_is_refused(text, said):
    with pytest.raises(InvalidInput, match=said):
        parse(text)


def recompose(build, found, model="/m/a.gguf"):
    """The command of a parsed entry."""
    entry = dict(found.entry)
    item = definition.read({"name": found.name, **entry})
    draft = item.spec.draft if item.spec and item.spec.draft != "own" else None
    lora = tuple(Lora(adapter.file, adapter.scale) for adapter in item.lora)
    files = served.Served(ModelSet("a", "a", item.model, (), "llama", 4096), item.mmproj, draft or None, lora)
    return cmdline.compose(item, build, files, "/k" if item.keys else None)


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(["server", "embedding", "rerank"]),
        "mmproj": st.just("/m/p.gguf"),
        "lora": st.sampled_from([["/l/a.gguf"], [{"file": "/l/a.gguf", "scale": 0.5}, "/l/b.gguf"]]),
        "alias": st.lists(st.text("abc XY;&>|", min_size=1, max_size=9), min_size=1, max_size=2),
        "bind": st.sampled_from(["loopback", "::1", "public", "10.1.2.3"]),
        "tls": st.just({"cert": "/c.pem", "key": "/k.pem"}),
        "ctx_size": st.integers(1, 1 << 20),
        "parallel": st.integers(1, 256),
        "cache_type_k": st.sampled_from(definition.CACHE_TYPES),
        "gpu_layers": st.one_of(st.integers(0, 999), st.just("all")),
        "tensor_split": st.sampled_from([[3, 1], [0.5, 0.25]]),
        "split_mode": st.sampled_from(["none", "layer", "row", "tensor"]),
        "main_gpu": st.integers(0, 7),
        "n_cpu_moe": st.integers(0, 99),
        "jinja": st.booleans(),
        "reasoning_format": st.sampled_from(["none", "deepseek"]),
        "chat_template_file": st.just("/t.jinja"),
        "slots": st.booleans(),
        "metrics": st.just(True),
        "log_level": st.sampled_from(definition.LOG_LEVELS),
    },
)


def _settable():
    """Options that a definition may have, each with values of its kind."""
    owned = {*options.OWNED, *options.FIXED, *options.REMOTE, *options.PROBES, *cmdline.FIELDS, *cmdline.EITHER}
    found = []
    for option in OPTIONS:
        if option.name in owned or option.removed is not None or option.downloads or option.name.startswith("--spec-"):
            continue
        if not option.name.startswith("--") or option.takes > 1:
            continue
        if not option.takes:
            kinds = st.booleans() if option.negative else st.just(True)
        elif option.values:
            kinds = st.sampled_from(option.values)
        elif option.accumulates:
            kinds = st.lists(st.text("ab;,$%' \"", min_size=1, max_size=5), min_size=1, max_size=2)
        else:
            kinds = st.integers(0, 9) if option.number else st.text("ab$%' \"\\", min_size=1, max_size=5)
        found.append((option.name[2:].replace("-", "_"), kinds))
    return found


SETTABLE = _settable()
TABLES = st.lists(st.sampled_from(range(len(SETTABLE))), unique=True, max_size=4).flatmap(
    lambda chosen: st.fixed_dictionaries({SETTABLE[index][0]: SETTABLE[index][1] for index in chosen})
)


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    return build_in(tmp_path_factory.mktemp("b") / "b1")


@given(fields=FIELDS, table=TABLES, keyed=st.booleans())
def test_round_trip(build, fields, table, keyed):
    """Compose any definition, paste its line, compose again: the same command."""
    if fields.get("bind") not in (None, "loopback", "::1"):
        keyed = True
    unsafe = [key for key in table if "--" + key.replace("_", "-") in options.DANGEROUS and table[key]]
    given_entry = {"name": "a", "model": "/m/a.gguf", "port": 8080, "options": table, "allow_unsafe": unsafe, **fields}
    if keyed:
        given_entry["keys"] = ["team"]
    first = recompose(build, paste.Parsed("a", {key: value for key, value in given_entry.items() if key != "name"}))
    again = recompose(build, paste.parse(first.line, DOCUMENT))
    assert again.env == first.env
    assert sorted(again.argv) == sorted(first.argv)  # our defaults may stand elsewhere


@given(st.lists(st.sampled_from([option for option in OPTIONS if option.takes == 1]), max_size=3), st.text(max_size=9))
def test_whatever_is_pasted_is_an_entry_or_a_refusal(chosen, text):
    words = [word for option in chosen for word in (option.names[-1], text)]
    try:
        found = parse("llama-server " + shlex.join(words))
    except (InvalidInput, ValueError) as exc:
        assert isinstance(exc, InvalidInput), exc
        return
    assert yaml.safe_load(found.yaml) == {found.name: found.entry}
