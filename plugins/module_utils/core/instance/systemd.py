# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd as the service manager: of the system, or of one user."""

from __future__ import annotations

import os
import time

from ..command import Result, run
from ..errors import CommandFailed
from ..files import read_text, remove_file, write_text
from ..tree import Tree
from . import unit
from .service import Status

SYSTEM_UNITS = "/etc/systemd/system"


def runtime_folder() -> str:
    """`XDG_RUNTIME_DIR` of the running user."""
    return os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"


def user_manager_runs() -> bool:
    """True when this user has a systemd of its own."""
    return os.path.exists(os.path.join(runtime_folder(), "systemd", "private"))


class Systemd:
    """Units in /etc/systemd/system, or in ~/.config/systemd/user."""

    kind = "systemd"

    def __init__(self, tree: Tree) -> None:
        self.scope = tree.scope
        self.hardening = tree.scope
        home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        self.folder = SYSTEM_UNITS if tree.system else os.path.join(home, "systemd", "user")

    def prepare(self) -> list[str]:
        if self.scope == "system":
            return []
        os.makedirs(self.folder, exist_ok=True)
        user = str(os.getuid())
        lingers = run(["loginctl", "show-user", user, "--property=Linger", "--value"], check=False)
        if lingers.stdout.strip() == "yes" or run(["loginctl", "enable-linger"], check=False).rc == 0:
            return []
        return ["Instances end when you log out: lingering is off. Turn it on with: loginctl enable-linger"]

    def render(self, launch: unit.Launch) -> str:
        return unit.render(launch, self.scope)

    def path(self, name: str) -> str:
        return os.path.join(self.folder, f"{unit.PREFIX}{name}.service")

    def managed(self) -> list[str]:
        try:
            files = sorted(os.listdir(self.folder))
        except FileNotFoundError:
            return []
        names = [file[len(unit.PREFIX) : -len(".service")] for file in files if _is_candidate(file)]
        return [name for name in names if "Instance" in unit.facts_of(read_text(self.path(name)) or "")]

    def status(self, name: str) -> Status:
        wanted = "ActiveState,SubState,MainPID,Result,UnitFileState"
        shown = self._systemctl("show", self._unit(name), f"--property={wanted}").stdout
        said = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        active = said.get("ActiveState") == "active"
        detail = f"{said.get('ActiveState', 'unknown')}/{said.get('SubState', '')} ({said.get('Result', '')})"
        return Status(active, int(said.get("MainPID") or 0), detail, said.get("UnitFileState") == "enabled")

    def install(self, name: str, text: str) -> None:
        os.makedirs(self.folder, exist_ok=True)
        write_text(self.path(name), text)
        self._systemctl("daemon-reload", check=True)

    def remove(self, name: str) -> None:
        self._systemctl("disable", "--now", self._unit(name))
        remove_file(self.path(name))
        self._systemctl("daemon-reload", check=True)
        self._systemctl("reset-failed", self._unit(name))

    def enable(self, name: str, wanted: bool) -> bool:
        if self.status(name).enabled == wanted:
            return False
        self._systemctl("enable" if wanted else "disable", self._unit(name), check=True)
        return True

    def start(self, name: str, seconds: int) -> None:
        self._systemctl("reset-failed", self._unit(name))
        try:
            self._systemctl("start", self._unit(name), timeout=seconds + 30)
        except CommandFailed:  # the caller looks at the state and at the log
            return

    def stop(self, name: str) -> None:
        self._systemctl("stop", self._unit(name), timeout=120)

    def mark(self, name: str) -> float:
        return time.time()

    def log(self, name: str, mark: float) -> str:
        scope = [] if self.scope == "system" else ["--user"]
        command = ["journalctl", *scope, "--unit" if not scope else "--user-unit", self._unit(name)]
        command += [f"--since=@{mark:.3f}", "--output=cat", "--no-pager", "--lines=4000"]
        return run(command, check=False, timeout=30).stdout

    @staticmethod
    def _unit(name: str) -> str:
        return f"{unit.PREFIX}{name}.service"

    def _systemctl(self, *words: str, check: bool = False, timeout: float = 60) -> Result:
        scope = [] if self.scope == "system" else ["--user"]
        env = {**os.environ, "XDG_RUNTIME_DIR": runtime_folder()} if scope else None
        return run(["systemctl", *scope, *words], env=env, check=check, timeout=timeout)


def _is_candidate(file: str) -> bool:
    return file.startswith(unit.PREFIX) and file.endswith(".service")
