# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a process is, and which servers may be adopted: real processes that listen, and made-up units."""

from __future__ import annotations

import dataclasses
import os
import pty
import shutil
import socket
import subprocess
import sys
import time

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import tree as trees
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import Busy, InvalidInput, NotProven
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.host import belonging, process
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import adoption, definition, processes
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.supervisor import Supervisor
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.systemd import Systemd

# what llama-server says to whoever asks without a key; `False` is a program that only has its name
SERVER = """
import http.server, json, sys
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = {"/health": {"status": "ok"}, "/v1/models": {"data": [{"owned_by": sys.argv[2]}]}}.get(self.path, {})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(said).encode())
    def log_message(self, *words):
        pass
if sys.argv[3] == "terminal":
    import fcntl, termios
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answers)
if sys.argv[3] == "nobody":
    import os
    os.setuid(65534)
server.serve_forever()
"""


@pytest.fixture
def tree(tmp_path):
    return trees.open_tree(str(tmp_path / "root"), "user")


@pytest.fixture
def systemd(tree, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    manager = Systemd(tree)
    os.makedirs(manager.folder)
    return manager


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def server(tmp_path, port):
    """Starts something that listens on the port; its program has the name, and says who owns its models."""
    started = []

    def start(name="llama-server", owner="llamacpp", how="plain", **more):
        program = shutil.copy(os.path.realpath(sys.executable), tmp_path / name)
        env = {**os.environ, "PYTHONHOME": sys.base_prefix}
        argv = [program, "-c", SERVER, str(port), owner, how]
        started.append(subprocess.Popen(argv, env=env, start_new_session=True, **more))
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and started[-1].poll() is None:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    return started[-1].pid
            time.sleep(0.02)
        return pytest.fail("it does not listen")

    yield start
    for child in started:
        child.kill()
        child.wait()


def chat(port, **more):
    return definition.read({"name": "chat", "model": "/m/a.gguf", "port": port, "adopt": True, **more})


OURS, THEIRS = "[X-LlamaOps]\nInstance=chat\n", "[Service]\nExecStart=/bin/true\n"


@pytest.mark.parametrize(
    ("unit", "file", "built", "belongs"),
    [
        ("llama-chat.service", OURS, True, ("instance", "chat")),
        ("llama-chat.service", THEIRS, True, ("external", None)),
        ("llama-chat.service", None, True, ("instance", "chat")),  # its unit file was deleted
        ("llama-chat.service", None, False, ("external", None)),
        ("llama-chat.scope", OURS, False, ("adopted", "chat")),
        ("other.service", None, False, ("external", None)),
        ("session-3.scope", None, False, ("foreign", None)),
        ("user@1000.service", None, False, ("foreign", None)),
        (None, None, False, ("foreign", None)),
    ],
)
def test_whose_it_is(tree, systemd, unit, file, built, belongs):
    if file:
        with open(systemd.path("chat"), "w", encoding="utf-8") as text:
            text.write(file)
    exe = f"{tree.builds}/x/bin/llama-server" if built else "/home/anna/llama-server"
    item = process.ServerProcess(os.getpid(), 1, exe, "llama-server", (exe, "--api-key", "secret-secret"), unit)
    found = processes.look(tree, systemd, item, {})
    # this test may itself run in a container
    found = dataclasses.replace(found, around=dataclasses.replace(found.around, container=None))
    assert (found.belongs, found.instance) == belongs
    assert "secret-secret" not in str(found.document())


def test_a_manager_without_units_knows_its_processes(tree):
    item = process.ServerProcess(os.getpid(), 1, "/x/llama-server", "llama-server", ("x",), "session-1.scope")
    for mains in ({os.getpid(): "chat"}, {os.getppid(): "chat"}):  # itself, or started by a router
        assert processes.look(tree, Supervisor(tree), item, mains).instance == "chat"


def test_wanted_and_without_a_process():
    known = {
        "a": {"enabled": True, "pid": 7},
        "b": {"enabled": True, "pid": 0},
        "c": {"enabled": False, "pid": 0},
    }
    assert processes.without_process(known) == ["b"]


def test_nobody_listens(tree, systemd, port):
    assert adoption.look(tree, systemd, chat(port)) is None


def test_a_server_is_found_by_its_port(tree, systemd, server, port):
    pid = server()
    found = adoption.look(tree, systemd, chat(port))
    assert (found.process.pid, found.belongs) == (pid, "foreign")
    assert f"process {pid}" in adoption.warning(chat(port), found)


def test_a_server_that_is_this_instance_already_is_none_to_adopt(tree, systemd, server, port, monkeypatch):
    server()
    seen = adoption.look(tree, systemd, chat(port))
    for belongs in ("adopted", "instance"):
        ours, theirs = (dataclasses.replace(seen, belongs=belongs, instance=name) for name in ("chat", "other"))
        monkeypatch.setattr(processes, "look", lambda *_given, found=ours: found)
        assert adoption.look(tree, systemd, chat(port)) is None
        monkeypatch.setattr(processes, "look", lambda *_given, found=theirs: found)
        with pytest.raises(InvalidInput, match="the instance 'other' has it"):
            adoption.look(tree, systemd, chat(port))


@pytest.mark.parametrize(("name", "owner"), [("python3", "llamacpp"), ("llama-server", "somebody")])
def test_something_else_is_never_adopted(tree, systemd, server, port, name, owner):
    server(name, owner)
    for adopt in (True, "force"):
        with pytest.raises(Busy, match="no llama-server"):
            adoption.look(tree, systemd, chat(port, adopt=adopt))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start processes of others")
def test_a_server_of_somebody_else_needs_one_more_word(tree, systemd, server, port):
    pid = server(how="nobody")
    while not belonging.of(pid).uid:
        time.sleep(0.02)
    with pytest.raises(InvalidInput, match="it runs as nobody.*adopt: force"):
        adoption.look(tree, systemd, chat(port))
    assert adoption.look(tree, systemd, chat(port, adopt="force")).around.user == "nobody"


def test_a_server_with_a_terminal_needs_one_more_word(tree, systemd, server, port):
    outer, inner = pty.openpty()
    server(how="terminal", stdin=inner)
    os.close(inner)
    with pytest.raises(InvalidInput, match="the terminal pts/[0-9]+ and ends when that is closed"):
        adoption.look(tree, systemd, chat(port))
    found = adoption.look(tree, systemd, chat(port, adopt="force"))
    assert "its unit is started then" in adoption.warning(chat(port), found)
    os.close(outer)


def test_supervisord_cannot(tree, server, port):
    server()
    with pytest.raises(InvalidInput, match="supervisord can only manage what it started itself"):
        adoption.look(tree, Supervisor(tree), chat(port, adopt="force"))


def test_a_process_that_ended_meanwhile_is_not_taken(tree, systemd, server, port):
    server()
    found = adoption.look(tree, systemd, chat(port))
    gone = dataclasses.replace(found, process=dataclasses.replace(found.process, start_time=1))
    with pytest.raises(NotProven, match="ended before"):
        adoption.take(systemd, chat(port), gone, None)


@pytest.mark.parametrize("value", ["yes", 1, "Force"])
def test_other_words_are_refused(port, value):
    with pytest.raises(InvalidInput, match="adopt must be true or false"):
        chat(port, adopt=value)
