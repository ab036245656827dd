# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a process to the entry of an inventory, on the recorded help of a real build."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import time

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import capabilities
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.host import process
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import definition, importing, keyfile
from fixtures.recorded_build import HELP

OPTIONS = capabilities.parse_help(HELP)
DOCUMENT = {"schema": 1, "version": "0.5.0-dev", "options": [dataclasses.asdict(option) for option in OPTIONS]}
SECRET = "sk-very-secret-0123456789"


@pytest.fixture
def server(tmp_path):
    """A process that only sleeps, with the arguments and the name of a server."""
    program = tmp_path / "llama-server"
    shutil.copy(shutil.which("sleep"), program)
    started = []

    def start(*arguments, **env):
        started.append(subprocess.Popen([program, "60"], cwd=tmp_path, env={"PATH": os.environ["PATH"], **env}))
        while not process.environment(started[-1].pid):  # a program is there a moment before its variables
            time.sleep(0.01)
        found = process.look(started[-1].pid)
        return dataclasses.replace(found, argv=(found.argv[0], *arguments))

    yield start
    for child in started:
        child.kill()
        child.wait()


def card(number, *pids):
    return {
        "id": f"GPU-{number}",
        "index": number,
        "backend": "cuda",
        "processes": None if pids == (None,) else [{"pid": pid, "used": 5} for pid in pids],
    }


def test_paths_become_absolute(server, tmp_path):
    (tmp_path / "grammar.gbnf").touch()
    found = server("-m", "models/a.gguf", "--lora", "l.gguf", "--grammar-file", "grammar.gbnf", "--pooling", "mean")
    entry = importing.entry(found, DOCUMENT, {}).entry
    assert entry["model"] == f"{tmp_path}/models/a.gguf"
    assert entry["lora"] == [f"{tmp_path}/l.gguf"]
    assert entry["options"] == {"grammar_file": f"{tmp_path}/grammar.gbnf", "pooling": "mean"}
    assert entry["adopt"] is True


def test_a_reference_stays_one(server):
    assert importing.entry(server("-hf", "org/repo:Q4_K_M"), DOCUMENT, {}).entry["model"] == "org/repo:Q4_K_M"


def test_the_shell_of_somebody_is_none_of_our_business(server):
    found = server("-m", "/m/a.gguf", HOME="/root", AWS_SECRET="x", LLAMA_ARG_CTX_SIZE="4096", GGML_CUDA_P2P="1")
    entry = importing.entry(found, DOCUMENT, {}).entry
    assert (entry["ctx_size"], entry["env"]) == (4096, {"GGML_CUDA_P2P": "1"})


def test_keys_are_named_and_never_shown(server):
    parsed = importing.entry(server("-m", "/m/chat.gguf", "--api-key", SECRET), DOCUMENT, {})
    assert parsed.entry["keys"] == ["chat"]
    assert SECRET not in parsed.yaml + "".join(parsed.notes)


@pytest.mark.parametrize(
    ("cards", "env", "devices"),
    [
        (lambda pid: [card(0), card(1, pid)], {}, ["GPU-1"]),
        (lambda pid: [card(0, pid), card(1, pid)], {"CUDA_VISIBLE_DEVICES": "1,0"}, ["GPU-0", "GPU-1"]),
        (lambda pid: [card(0, 1), card(1)], {}, "none"),
        (lambda pid: [card(0, None), card(1, None)], {"CUDA_VISIBLE_DEVICES": "1"}, ["GPU-1"]),
        (lambda pid: [card(0, None), card(1, None)], {"CUDA_VISIBLE_DEVICES": "7"}, None),
        (lambda pid: [], {}, None),
    ],
)
def test_devices_by_id(server, cards, env, devices):
    found = server("-m", "/m/a.gguf", **env)
    parsed = importing.entry(found, DOCUMENT, {"devices": cards(found.pid)})
    assert parsed.entry.get("devices") == devices
    assert any("counts cards" in note for note in parsed.notes) == (devices is None and bool(env))


def test_what_the_build_does_not_know_is_named():
    with pytest.raises(InvalidInput, match="has no flag --not-there"):
        importing.read(["llama-server", "--not-there"], {}, DOCUMENT)
    with pytest.raises(InvalidInput, match="control character"):
        importing.read(["llama-server", "-m", "a\nb"], {}, DOCUMENT)


CHAT = definition.read({"name": "chat", "model": "/m/a.gguf", "port": 8080, "keys": ["team"]})


@pytest.mark.parametrize(
    ("argv", "env", "text"),
    [
        (["x", "--api-key", "aaaaaaaa,bbbbbbbb"], {}, "aaaaaaaa\nbbbbbbbb\n"),
        (["x", "--api-key-file", "keys"], {}, "cccccccc\ndddddddd\n"),
        (["x"], {"LLAMA_API_KEY": "eeeeeeee"}, "eeeeeeee\n"),
        (["x"], {}, None),
        (["x", "--api-key"], {}, None),
    ],
)
def test_the_keys_of_a_process(tmp_path, argv, env, text):
    (tmp_path / "keys").write_text("cccccccc\n\ndddddddd\n")
    assert keyfile.text_of(CHAT, keyfile.of_process(argv, env, str(tmp_path), os.geteuid())) == text


def test_the_files_of_others_are_not_read_for_whoever_names_them(tmp_path):
    """A program of somebody else could name /etc/shadow, and would be sent its first line as a key."""
    (tmp_path / "keys").write_text("cccccccc\n")
    (tmp_path / "link").symlink_to("keys")
    os.mkfifo(tmp_path / "pipe")
    mine = os.geteuid()
    for name, uid, found in (
        ("keys", mine, ["cccccccc"]),
        ("keys", mine + 1, []),
        ("link", mine + 1, []),
        ("pipe", mine, []),
    ):
        assert keyfile.of_process(["x", "--api-key-file", name], {}, str(tmp_path), uid) == found


def test_a_key_that_no_file_can_hold_is_refused_unshown():
    with pytest.raises(InvalidInput, match="cannot be used") as caught:
        keyfile.text_of(CHAT, ["short"])
    assert "short" not in str(caught.value)
