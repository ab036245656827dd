# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, terminals, containers and families of real processes, and of made-up ones."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.host import belonging, process


@pytest.fixture
def sleeper():
    """Starts a process that sleeps; it is ended afterwards."""
    started = []

    def start(*argv, **more):
        started.append(subprocess.Popen(argv or ["sleep", "60"], **more))
        while not process.environment(started[-1].pid):  # a program is there a moment before its variables
            time.sleep(0.01)
        return started[-1].pid

    yield start
    for child in started:
        child.kill()
        child.wait()


def test_a_process_of_mine(sleeper):
    found = belonging.of(sleeper(start_new_session=True))
    assert (found.uid, found.user) == (os.geteuid(), belonging.user_name(os.geteuid()))
    assert (found.parent, found.terminal, found.container) == (os.getpid(), None, None)


def test_a_process_with_a_terminal(sleeper):
    outer, inner = pty.openpty()
    take = "import fcntl, termios, time; fcntl.ioctl(0, termios.TIOCSCTTY, 0); time.sleep(60)"
    name = os.ttyname(inner).replace("/dev/", "")
    pid = sleeper(sys.executable, "-c", take, stdin=inner, start_new_session=True)
    os.close(inner)
    deadline = time.monotonic() + 20
    while belonging.of(pid).terminal is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert belonging.of(pid).terminal == name
    os.close(outer)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start processes of others")
def test_a_process_of_somebody_else(sleeper):
    found = belonging.of(sleeper(user=65534))
    assert (found.uid, found.user) == (65534, "nobody")


def test_a_process_that_is_gone(sleeper):
    child = subprocess.Popen(["true"])
    child.wait()
    assert belonging.of(child.pid) is None


def test_a_family(sleeper):
    code = "import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
    parent = sleeper(sys.executable, "-c", code, start_new_session=True)
    deadline = time.monotonic() + 20
    while len(belonging.descendants(parent)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    family = belonging.descendants(parent)
    assert len(family) == 2 and family[0] == parent
    assert belonging.outermost(family) == [parent]
    os.kill(family[1], 9)


def made_up(root, pid, *, tty=0, cgroup="", uid=0, namespace="pid:[1]"):
    folder = root / str(pid)
    (folder / "ns").mkdir(parents=True)
    fields = ["S", "1", "7", "7", str(tty), *["0"] * 20]
    (folder / "stat").write_text(f"{pid} (a) b) {' '.join(fields)}\n")
    (folder / "status").write_text(f"Name:\ta\nUid:\t9\t{uid}\t9\t9\n")
    (folder / "cgroup").write_text(cgroup)
    (folder / "ns" / "pid").symlink_to(namespace)


@pytest.mark.parametrize(
    ("tty", "name"), [(0, None), (0x8803, "pts/3"), (0x8905, "pts/261"), (0x401, "tty1"), (0x440, "tty64")]
)
def test_terminals(tmp_path, tty, name):
    made_up(tmp_path, 7, tty=tty)
    assert belonging.of(7, str(tmp_path)).terminal == name


@pytest.mark.parametrize(
    ("cgroup", "namespace", "container"),
    [
        ("0::/user.slice/user-0.slice/session-3.scope\n", "pid:[1]", None),
        ("0::/system.slice/docker-0123.scope\n", "pid:[2]", "docker-0123.scope"),
        ("12:memory:/docker/0123\n1:name=systemd:/docker/0123\n", "pid:[1]", "docker/0123"),
        ("0::/machine.slice/libpod-99.scope/container\n", "pid:[2]", "libpod-99.scope"),
        ("0::/machine.slice/machine-box.scope/payload\n", "pid:[2]", "machine-box.scope"),
        ("0::/lxc.payload.box/x\n", "pid:[2]", "lxc.payload.box"),
        ("0::/\n", "pid:[2]", "another PID namespace"),
        ("0::/system.slice/docker.service\n", "pid:[1]", None),
    ],
)
def test_containers(tmp_path, cgroup, namespace, container):
    made_up(tmp_path, 7, cgroup=cgroup, namespace=namespace)
    made_up(tmp_path, 8)
    (tmp_path / "self").symlink_to("8")
    assert belonging.of(7, str(tmp_path)).container == container


def test_when_it_started(sleeper):
    assert abs(process.started_at(sleeper()) - time.time()) < 5
    assert process.started_at(2**22 + 1) == 0.0


def test_what_it_was_started_with(sleeper, tmp_path):
    pid = sleeper(env={"LLAMA_ARG_PORT": "1", "PATH": os.environ["PATH"]}, cwd=tmp_path)
    assert process.environment(pid)["LLAMA_ARG_PORT"] == "1"
    assert process.working_folder(pid) == str(tmp_path)
