# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of the scenario, requests that go on while something changes, and figures for the end of the run."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest
import testinfra

FIGURES: list[str] = []
KEY = "a-key-for-the-lab-only"
FRONT = "http://127.0.0.1:8080"
ROOT, LAB_SH = "/opt/llama", os.environ["LAB_SH"]


# in a host: ask the runtime interface of the front, and see in its answer whether a change holds requests back
ASKS = """
import socket, sys, time
def asks(command):
    with socket.socket(socket.AF_UNIX) as front:
        front.connect('/run/llama-front/admin.sock')
        front.sendall(command + b'\\n')
        return b''.join(iter(lambda: front.recv(9999), b'')).decode()
def held(state):
    rows = [line.split() for line in state.splitlines()]
    return any(row[3:4] == ['main'] and int(row[6]) & 1 for row in rows)
"""


class Host:
    """A host of the lab with what the tests do on it."""

    KEY = KEY

    def __init__(self, name):
        self.name = name
        self.host = testinfra.get_host(f"ansible://{name}", ansible_inventory=os.environ["MOLECULE_INVENTORY_FILE"])
        self.run = self.host.check_output
        self.numbers = itertools.count()

    def converge(self, check=False, **changes):
        """Bring the instance to its definition with these changes."""
        variables = self.host.ansible.get_variables()
        chat = {**variables["llama_instances_defaults"], **variables["llama_instances"]["chat"], **changes}
        arguments = {"root": ROOT, "instances": [{"name": "chat", **chat}], "keys": variables["llama_keys"]}
        return self.host.ansible("llamaops.llama_cpp.llama_instance", json.dumps(arguments), check=check)

    @contextlib.contextmanager
    def asked(self):
        """Requests come while the block runs; at its end the figures are in what it yields."""
        stop, figures = f"/run/load-{os.getpid()}-{next(self.numbers)}.stop", {}
        with self.client("load.py", FRONT, KEY, stop) as said:
            time.sleep(1)
            try:
                yield figures
            finally:
                time.sleep(1)
                self.run("touch %s", stop)
        figures.update(json.loads(said[0]))

    @contextlib.contextmanager
    def endless(self, *backend):
        """An answer that never ends is given while the block runs, see long.py; this yields what came of it."""
        begun, figures = f"/run/long-{os.getpid()}-{next(self.numbers)}", {}
        with self.client("long.py", FRONT, KEY, begun, *backend) as said:
            if not backend:
                self.run("until [ -e %s ]; do sleep 0.1; done", begun)
            yield figures
        figures.update(json.loads(said[0]))

    @contextlib.contextmanager
    def client(self, program, *words):
        """Run one of the programs beside this file until it ends by itself; its output is in what this yields.

        It runs in the host and not in its control group: what clients take is none of the host's memory.
        """
        argv, said = [LAB_SH, "sh", self.name, "/usr/bin/python3", f"/root/{program}", *words], []
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
        with subprocess.Popen(argv, text=True, start_new_session=True, **pipes) as process:
            try:
                yield said
                said.append(process.communicate(timeout=120)[0])
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

    def limits(self):
        """How many requests the front sends to each server at a time."""
        stat = [line.split(",") for line in self.asks_front("show stat").splitlines()]
        return {row[1]: row[stat[0].index("slim")] for row in stat if row[0] == "llama-chat"}

    def until_held(self):
        """Return as soon as the front sends no requests to the server of the unit, which is for seconds only."""
        program = ASKS + "while not held(asks(b'show servers state llama-chat')): time.sleep(0.05)"
        argv = [LAB_SH, "sh", self.name, "timeout", "120", "/usr/bin/python3", "-c", program]
        assert subprocess.run(argv, check=False).returncode == 0, "no change held its requests back"

    def props(self):
        """What the server behind the front says of itself."""
        return json.loads(self.get(f"{FRONT}/props", KEY)[1])

    def get(self, url, key=""):
        """Status and text of an answer."""
        program = "import sys,urllib.request as r,urllib.error as e\n"
        program += "try: a=r.urlopen(r.Request(sys.argv[1],headers={'Authorization':'Bearer '+sys.argv[2]}))\n"
        program += "except e.HTTPError as x: a=x\nprint(a.status);print(a.read().decode())"
        status, _newline, text = self.run("python3 -c %s %s %s", program, url, key).partition("\n")
        return int(status), text

    def asks_front(self, command):
        """The answer of the runtime interface of the front."""
        program = "import socket,sys;s=socket.socket(socket.AF_UNIX);s.connect('/run/llama-front/admin.sock');"
        program += "s.sendall(sys.argv[1].encode()+b'\\n');print(b''.join(iter(lambda:s.recv(9999),b'')).decode())"
        return self.run("python3 -c %s %s", program, command)

    def units(self):
        """The units of instances."""
        found = self.run("cd /etc/systemd/system && ls").splitlines()
        return [name for name in found if name.startswith("llama-chat")]

    def show(self, unit, what):
        return self.run(f"systemctl show {unit} --property={what} --value")


@pytest.fixture(scope="session")
def one():
    """Debian 12, room for two servers, a site with an HAProxy of its own."""
    return _ready(Host("one"))


@pytest.fixture(scope="session")
def two():
    """Debian 13, memory for one server."""
    return _ready(Host("two"))


def _ready(host):
    for program in ("load.py", "long.py"):
        text = (pathlib.Path(__file__).parent / program).read_text(encoding="utf-8")
        wanted = {"dest": f"/root/{program}", "content": text, "mode": "0644"}
        host.host.ansible("ansible.builtin.copy", json.dumps(wanted), check=False)
    return host


@pytest.fixture
def figure():
    """`figure(name, value)`: something measured, for the end of the run."""
    return lambda name, value: FIGURES.append(f"{name}: {value}")


def pytest_terminal_summary(terminalreporter):
    for line in FIGURES:
        terminalreporter.write_line(f"measured  {line}")
