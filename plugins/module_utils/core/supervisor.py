# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""supervisord from the managed virtual environment, for hosts and containers without systemd.

It runs as the user who runs this, under no parent of ours, and offers no isolation (`hardening: none`).
"""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Mapping

from . import unit
from .command import Result, run
from .errors import InvalidInput, MissingTool, NotProven
from .files import read_text, remove_file, write_text
from .service import Status
from .tree import Tree

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
        self.tools = os.path.join(tree.venv, "bin")
        self.home = tree.root

    def prepare(self) -> list[str]:
        if len(self._inside("sock")) > LONGEST_SOCKET_PATH:
            raise InvalidInput(f"{self._inside('sock')} is too long for a socket.", "Choose a shorter runtime root.")
        if not os.path.exists(os.path.join(self.tools, "supervisord")):
            raise MissingTool(
                f"supervisord is not installed in {self.tools}, and no systemd runs here.",
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
            log=self._log_path(launch.instance.name),
            section=f"{unit.SECTION}",
            facts="\n".join(f"{key}={value}" for key, value in launch.facts.items()),
        )

    def path(self, name: str) -> str:
        return self._inside("conf.d", f"{unit.PREFIX}{name}.conf")

    def managed(self) -> list[str]:
        try:
            files = sorted(os.listdir(self._inside("conf.d")))
        except FileNotFoundError:
            return []
        names = [file[len(unit.PREFIX) : -len(".conf")] for file in files if file.startswith(unit.PREFIX)]
        return [name for name in names if "Instance" in unit.facts_of(read_text(self.path(name)) or "")]

    def status(self, name: str) -> Status:
        if not os.path.exists(self._inside("sock")):
            return Status(False, detail="supervisord does not run")
        text = self._control("status", unit.PREFIX + name).stdout.strip()
        found = re.search(r"RUNNING\s+pid (\d+)", text)
        enabled = "autostart=true" in (read_text(self.path(name)) or "")
        return Status(bool(found), int(found.group(1)) if found else 0, text, enabled)

    def install(self, name: str, text: str) -> None:
        os.makedirs(self._inside("conf.d"), exist_ok=True)
        write_text(self.path(name), text)

    def remove(self, name: str) -> None:
        remove_file(self.path(name))
        self._control("update", unit.PREFIX + name)
        if not self.managed():
            self._control("shutdown")

    def enable(self, name: str, wanted: bool) -> bool:
        return False  # autostart stands in the file itself

    def start(self, name: str, seconds: int) -> None:
        service = unit.PREFIX + name
        self._control("update", service)
        if not self.status(name).active:
            self._control("start", service)
        deadline = time.monotonic() + min(seconds, 30)
        while time.monotonic() < deadline and "STARTING" in self.status(name).detail:
            time.sleep(0.3)

    def stop(self, name: str) -> None:
        self._control("stop", unit.PREFIX + name)

    def mark(self, name: str) -> float:
        try:
            return os.stat(self._log_path(name)).st_size
        except FileNotFoundError:
            return 0

    def log(self, name: str, mark: float) -> str:
        try:
            with open(self._log_path(name), "rb") as file:
                file.seek(int(mark))
                text = file.read(1 << 20).decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-500:])

    def _boot(self) -> None:
        """Start the daemon with an empty environment, so that nothing of the caller reaches a server."""
        remove_file(self._inside("sock"))
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": self.home}
        run([os.path.join(self.tools, "supervisord"), "--configuration", self.conf], env=env, timeout=30)
        deadline = time.monotonic() + 15
        while not self._runs():
            if time.monotonic() > deadline:
                raise NotProven(
                    "supervisord was started and does not answer.", f"See {self._inside('supervisord.log')}."
                )
            time.sleep(0.1)

    def _runs(self) -> bool:
        return os.path.exists(self._inside("sock")) and self._control("pid").stdout.strip().isdigit()

    def _control(self, *words: str) -> Result:
        program = os.path.join(self.tools, "supervisorctl")
        return run([program, "--configuration", self.conf, *words], check=False, timeout=120)

    def _inside(self, *parts: str) -> str:
        return os.path.join(self.folder, *parts)

    def _log_path(self, name: str) -> str:
        return self._inside(f"{unit.PREFIX}{name}.log")


def _environment(env: Mapping[str, str]) -> str:
    return ",".join(f'{key}="{_inner(value)}"' for key, value in env.items())


def _inner(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
