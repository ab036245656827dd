# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding llama.cpp programs among real processes and in made-up process trees."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.host import process


@contextlib.contextmanager
def running(argv, **more):
    """A real process; it has become the program when the block begins."""
    child = subprocess.Popen(argv, **more)
    try:
        yield child.pid
    finally:
        child.kill()
        child.wait()


def ours(*wanted):
    return {found.pid: found for found in process.find_servers() if found.pid in wanted}


@pytest.fixture
def program(tmp_path):
    """A program called llama-server that only sleeps."""
    return shutil.copy(shutil.which("sleep"), str(tmp_path / "llama-server"))


def test_a_running_program_is_found_with_all_its_marks(program):
    with running([program, "60"]) as pid:
        found = ours(pid)[pid]
        assert (found.exe, found.tool, found.argv) == (program, "llama-server", (program, "60"))
        assert found.start_time == process.start_time(pid) > 0


def test_a_program_whose_file_was_replaced_is_still_found(program):
    with running([program, "60"]) as pid:
        os.unlink(program)
        assert ours(pid)[pid].exe == program


def test_a_command_line_with_the_word_is_no_server(program):
    pretender = [sys.executable, "-c", "import time; time.sleep(60)", "llama-server", program]
    with running(pretender) as one, running(["llama-server", "60"], executable=shutil.which("sleep")) as two:
        assert ours(one, two) == {}


def test_secrets_of_a_command_line_are_not_printed(program):
    with running([program, "60.9876543210"]) as pid:
        assert "60.9876543210" not in repr(ours(pid)[pid])


def made_up(root, pid, *, exe=None, argv=(), cgroup="", name="x"):
    folder = root / str(pid)
    folder.mkdir()
    fields = ["S", *["0"] * 18, str(pid * 10), "0"]
    (folder / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")
    (folder / "cmdline").write_text("".join(word + "\0" for word in argv))
    (folder / "cgroup").write_text(cgroup)
    if exe:
        os.symlink(exe, folder / "exe")
    else:
        (folder / "exe").touch()  # not readable as a link, as for a process of somebody else


@pytest.mark.parametrize(
    ("exe", "argv", "tool"),
    [
        ("/opt/llama/builds/x/bin/llama-server", ["anything"], "llama-server"),
        ("/opt/llama/builds/x/bin/llama-bench (deleted)", ["llama-bench"], "llama-bench"),
        ("/usr/bin/ggml-rpc-server", ["ggml-rpc-server"], "ggml-rpc-server"),
        ("/usr/bin/rpc-server", ["rpc-server"], "rpc-server"),
        ("/usr/bin/llama", ["llama", "serve"], "llama"),
        ("/usr/bin/ninja", ["ninja", "llama-server"], None),
        ("/usr/bin/python3", ["llama-server"], None),
        ("/usr/bin/llama-server-wrapper", ["llama-server"], None),
        (None, ["/opt/llama/bin/llama-server", "--port", "1"], "llama-server"),
        (None, ["ninja", "llama-server"], None),
        (None, [], None),
    ],
)
def test_the_executable_decides(tmp_path, exe, argv, tool):
    made_up(tmp_path, 7, exe=exe, argv=argv)
    assert [found.tool for found in process.find_servers(str(tmp_path))] == ([tool] if tool else [])


def test_order_start_time_and_strange_names(tmp_path):
    (tmp_path / "uptime").touch()
    for pid in (30, 4):
        made_up(tmp_path, pid, exe="/x/llama-server", name="a) S 1 (b")
    (tmp_path / "9").mkdir()
    assert [(found.pid, found.start_time) for found in process.find_servers(str(tmp_path))] == [(4, 40), (30, 300)]


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/llama-chat.service\n", "llama-chat.service"),
        ("0::/user.slice/user-0.slice/user@0.service/app.slice/llama-chat.service\n", "llama-chat.service"),
        ("9:name=systemd:/system.slice/a.service\n4:memory:/b.service\n0::/\n", "a.service"),
        ("4:memory:/b.service\n0::/system.slice/c.service/payload\n", "c.service"),
        ("0::/user.slice/user-0.slice/session-3.scope\n", "session-3.scope"),
        ("0::/docker/0123\n", None),
        ("garbage\n", None),
        ("", None),
    ],
)
def test_unit(tmp_path, cgroup, unit):
    made_up(tmp_path, 7, exe="/x/llama-server", cgroup=cgroup)
    assert process.unit_of(7, str(tmp_path)) == unit
