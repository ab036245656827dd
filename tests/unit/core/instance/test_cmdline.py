# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command lines, on the recorded help of a real build."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import capabilities
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build.builds import Build
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import cmdline, definition

HELP = (Path(__file__).parents[3] / "fixtures" / "recorded" / "llama-server-help.txt").read_text()


def build_in(folder: Path, help_text: str = HELP) -> Build:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "llama-server").touch()
    options = [vars(option) for option in capabilities.parse_help(help_text)]
    (folder / "capabilities.json").write_text(json.dumps({"schema": 1, "version": "1.2.3", "options": options}))
    return Build("b1", str(folder), {"files": {"bin/llama-server": {}}})


@pytest.fixture
def build(tmp_path):
    return build_in(tmp_path / "b1")


def compose(build, trained=4096, key_file=None, **fields):
    item = definition.read({"name": "chat", "model": "tiny", "port": 8080, **fields})
    return cmdline.compose(item, build, "/m/tiny.gguf", trained, key_file)


def test_the_whole_line(build):
    command = compose(build)
    assert command.line == (
        "GGML_NO_BACKTRACE=1 XDG_CONFIG_HOME=/nonexistent "
        f"{build.folder}/bin/llama-server --model /m/tiny.gguf --alias chat --host 127.0.0.1 --port 8080 --device none "
        "--ctx-size 4096 --parallel 1 --fit off --log-jsonl --verbosity 4 --no-ui --cors-origins localhost"
    )


@pytest.mark.parametrize(
    ("fields", "trained", "expected"),
    [({}, 131072, "8192"), ({}, 2048, "2048"), ({}, None, "8192"), ({"ctx_size": 32768}, 4096, "32768")],
)
def test_the_context(build, fields, trained, expected):
    argv = compose(build, trained, **fields).argv
    assert argv[argv.index("--ctx-size") + 1] == expected


def test_fields_become_flags(build):
    argv = compose(build, kind="embedding", cache_type_k="q8_0", cache_type_v="f16", key_file="/k").argv
    line = " ".join(argv)
    for part in ("--embedding", "--cache-type-k q8_0", "--cache-type-v f16", "--api-key-file /k"):
        assert f" {part}" in line


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


@pytest.mark.parametrize("options", [{"ctx_size": 1}, {"c": 1}, {"np": 2}, {"embeddings": True}, {"alias": "x"}])
def test_a_field_has_one_place(build, options):
    with pytest.raises(InvalidInput, match="Instance 'chat': "):
        compose(build, options=options)


def test_a_build_without_a_flag_we_need_is_refused(tmp_path):
    old = build_in(tmp_path / "old", HELP.replace("--alias", "--nickname"))
    with pytest.raises(InvalidInput, match="b1 has no flag --alias"):
        compose(old)


def test_our_defaults_are_left_out_where_the_build_lacks_them(tmp_path):
    old = build_in(tmp_path / "old", HELP.replace("log-jsonl", "log-other"))
    assert "--log-jsonl" not in compose(old).argv
