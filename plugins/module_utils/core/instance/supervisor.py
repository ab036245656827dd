# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""supervisord from the managed virtual environment, for hosts and containers without systemd.

It runs as the user who runs this, under no parent of ours, and offers no isolation (`hardening: none`).
"""

from __future__ import annotations

import http.client
import os
import re
import shlex
import socket
import time
import xmlrpc.client
from collections.abc import Mapping, Sequence
from typing import Any

from ..command import run
from ..errors import InvalidInput, MissingTool, NotProven
from ..files import read_text, remove_file, write_text
from ..tree import Tree
from . import logs, naming, unit
from .service import Status

LARGEST_LOG = 1 << 20  # bytes of a log that are looked at
LONGEST_SOCKET_PATH = 107  # sun_path of unix(7), with its final zero

DAEMON = """\
; Written by llamaops.llama_cpp.
[supervisord]
directory={folder}
logfile={folder}/supervisord.log
logfile_maxbytes=5MB
logfile_backups=2
pidfile={folder}/supervisord.pid
childlogdir={folder}
umask=077

[unix_http_server]
file={folder}/sock
chmod=0700

; for people: venv/bin/supervisorctl --configuration {folder}/supervisord.conf status
[supervisorctl]
serverurl=unix://{folder}/sock

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[include]
files={folder}/conf.d/*.conf
"""

PROGRAM = """\
; Written by llamaops.llama_cpp: change the inventory, not this file.
[program:{service}]
command={command}
environment={environment}
directory=/
autostart={autostart}
autorestart=true
startsecs=1
startretries=5
stopsignal=TERM
stopwaitsecs=10
stopasgroup=true
killasgroup=true
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=3

[{section}]
{facts}
"""


class Supervisor:
    """Programs in <root>/supervisor/conf.d, one file each."""

    kind = "supervisor"
    hardening = "none"

    def __init__(self, tree: Tree) -> None:
        self.folder = tree.path("supervisor")
        self.conf = os.path.join(self.folder, "supervisord.conf")
        self.program = os.path.join(tree.venv, "bin", "supervisord")
        self.home = tree.root

    def prepare(self) -> list[str]:
        if len(self._inside("sock")) > LONGEST_SOCKET_PATH:
            raise InvalidInput(f"{self._inside('sock')} is too long for a socket.", "Choose a shorter runtime root.")
        if not os.path.exists(self.program):
            raise MissingTool(
                f"{self.program} is not installed, and no systemd runs here.",
                "Run the role llama_runtime, which installs it.",
            )
        os.makedirs(self._inside("conf.d"), exist_ok=True)
        text = DAEMON.format(folder=self.folder)
        if read_text(self.conf) != text:
            write_text(self.conf, text)
        if not self._runs():
            self._boot()
        return []

    def render(self, launch: unit.Launch) -> str:
        return PROGRAM.format(
            service=launch.service,
            command=shlex.join(launch.command.argv).replace("%", "%%"),
            environment=_environment(launch.command.env),
            autostart="true" if launch.instance.wanted else "false",
            log=self.log_path(launch.instance.name),
            section=f"{unit.SECTION}",
            facts="\n".join(f"{key}={value}" for key, value in launch.facts.items()),
        )

    def path(self, name: str) -> str:
        return self._inside("conf.d", f"{unit.PREFIX}{name}.conf")

    def beside(self, launch: unit.Launch) -> dict[str, str]:
        return {}

    def managed(self) -> list[str]:
        try:
            files = sorted(os.listdir(self._inside("conf.d")))
        except FileNotFoundError:
            return []
        names = [file[len(unit.PREFIX) : -len(".conf")] for file in files if file.startswith(unit.PREFIX)]
        instances = [name for name in names if not naming.is_successor(name)]
        return [name for name in instances if "Instance" in unit.facts_of(read_text(self.path(name)) or "")]

    def status(self, name: str) -> Status:
        enabled = "autostart=true" in (read_text(self.path(name)) or "")
        try:
            said = self._ask("getProcessInfo", unit.PREFIX + name)
        except NotProven as exc:
            return Status(False, detail=exc.problem, enabled=enabled)
        running = said["statename"] == "RUNNING"
        return Status(
            active=running,
            pid=said["pid"] if running else 0,
            detail=f"{said['statename']} {said['description']}",
            enabled=enabled,
            started=float(said["start"]) if running else 0.0,
            waiting=said["statename"] in ("STARTING", "BACKOFF"),
            failed=said["statename"] == "FATAL",
        )

    def install(self, name: str, text: str, beside: Mapping[str, str]) -> None:
        os.makedirs(self._inside("conf.d"), exist_ok=True)
        write_text(self.path(name), text)

    def remove(self, name: str) -> None:
        remove_file(self.path(name))
        if self._runs():
            self._reread(name)
            if not self.managed():
                self._shut_down()

    def enable(self, name: str, wanted: bool) -> bool:
        text = read_text(self.path(name)) or ""
        changed = re.sub(r"(?m)^autostart=.*$", f"autostart={str(wanted).lower()}", text)
        if changed == text:
            return False
        write_text(self.path(name), changed)
        return True

    def start(self, name: str, seconds: int) -> None:
        self._reread(name)
        if not self.status(name).detail.startswith(("RUNNING", "STARTING")):
            self._ask("startProcess", unit.PREFIX + name, False)
        deadline = time.monotonic() + min(seconds, 30)
        while time.monotonic() < deadline and self.status(name).detail.startswith("STARTING"):
            time.sleep(0.1)

    def stop(self, name: str) -> None:
        if not self.status(name).detail.startswith(("STOPPED", "EXITED", "FATAL", "supervisord")):
            self._ask("stopProcess", unit.PREFIX + name)

    def adopt(self, name: str, pids: Sequence[int], memory_max: int | None) -> None:
        raise InvalidInput(
            f"Instance {name!r}: supervisord can only manage what it started itself, so nothing can be adopted.",
            "Leave adopt out and stop that process; the instance is started in its place.",
        )

    def mark(self, name: str) -> str:
        try:
            return str(os.stat(self.log_path(name)).st_size)
        except FileNotFoundError:
            return "0"

    def log(self, name: str, mark: str = "", lines: int = 4000) -> str:
        try:
            with open(self.log_path(name), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                start = int(mark or 0)
                # a log that is shorter than the mark was rotated meanwhile
                file.seek(max(start if start <= size else 0, size - LARGEST_LOG))
                text = file.read(LARGEST_LOG).decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def recent(self, name: str, lines: int, since: str) -> list[str]:
        if since not in (logs.START, logs.EVER):
            raise InvalidInput("The log of supervisord has no times.", "Use since: start, or since: ever.")
        found = self.log(name, lines=1 << 20).splitlines()
        return (logs.since_start(found) if since == logs.START else found)[-lines:]

    def follow(self, name: str) -> list[str]:
        return ["tail", "-F", self.log_path(name)]

    def _boot(self) -> None:
        """Start the daemon with an empty environment, so that nothing of the caller reaches a server."""
        remove_file(self._inside("sock"))
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": self.home}
        run([self.program, "--configuration", self.conf], env=env, timeout=30)
        deadline = time.monotonic() + 15
        while not self._runs():
            if time.monotonic() > deadline:
                raise NotProven(
                    "supervisord was started and does not answer.", f"See {self._inside('supervisord.log')}."
                )
            time.sleep(0.1)

    def _shut_down(self) -> None:
        """End the daemon, and wait until it has removed its socket: the next one's would be removed instead."""
        self._ask("shutdown")
        deadline = time.monotonic() + 15
        while os.path.exists(self._inside("sock")) and time.monotonic() < deadline:
            time.sleep(0.05)

    def _runs(self) -> bool:
        try:
            return bool(self._ask("getState")["statename"] == "RUNNING")
        except NotProven:
            return False

    def _reread(self, name: str) -> None:
        """Have the daemon take over the program file of one instance as it is now: new, changed or gone."""
        service = unit.PREFIX + name
        added, changed, removed = self._ask("reloadConfig")[0]
        if service in [*changed, *removed]:
            self._ask("stopProcessGroup", service)
            self._ask("removeProcessGroup", service)
        if service in [*added, *changed]:
            self._ask("addProcessGroup", service)

    def _ask(self, method: str, *arguments: Any) -> Any:
        """Call the daemon (supervisord.org, XML-RPC API Documentation).

        :raises NotProven: it does not run, or refuses; the text says which.
        """
        daemon = xmlrpc.client.ServerProxy("http://localhost", transport=_OverSocket(self._inside("sock")))
        try:
            return getattr(daemon.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as exc:
            raise NotProven(f"supervisord refuses {method}: {exc.faultString}.") from exc
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as exc:
            raise NotProven(f"supervisord does not answer at {self._inside('sock')}: {exc}.") from exc

    def _inside(self, *parts: str) -> str:
        return os.path.join(self.folder, *parts)

    def log_path(self, name: str) -> str:
        """The log of an instance; older parts of it are beside it, with a number."""
        return self._inside(f"{unit.PREFIX}{name}.log")


class _OverSocket(xmlrpc.client.Transport):
    """XML-RPC over a Unix socket, for which the standard library has no client of its own."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("localhost", timeout=120)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(120)
        connection.sock.connect(self.path)
        return connection


def _environment(env: Mapping[str, str]) -> str:
    return ",".join(f'{key}="{_inner(value)}"' for key, value in env.items())


def _inner(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
