# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd as the service manager: of the system, or of one user."""

from __future__ import annotations

import grp
import os
import re
from collections.abc import Mapping, Sequence

from ..command import Result, run
from ..errors import CommandFailed
from ..files import read_text, remove_file, write_text
from ..host import belonging, process
from ..tree import Tree
from . import besideunit, hardening, logs, naming, unit
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
        self._known_version: int | None = None
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
        return unit.render(launch, self.scope, self._version(), _missing_groups())

    def beside(self, launch: unit.Launch) -> dict[str, str]:
        service, timer = self._watchdog(launch.instance.name)
        files = {service: besideunit.watchdog(launch, self.scope), timer: besideunit.timer(launch.instance.name)}
        if launch.devices and self.scope == "system":
            files[self._gpu_ready()] = besideunit.gpu_ready(launch)
        return files

    def path(self, name: str) -> str:
        return os.path.join(self.folder, f"{unit.PREFIX}{name}.service")

    def managed(self) -> list[str]:
        try:
            files = sorted(os.listdir(self.folder))
        except FileNotFoundError:
            return []
        names = [file[len(unit.PREFIX) : -len(".service")] for file in files if _is_candidate(file)]
        instances = [name for name in names if not naming.is_successor(name)]
        return [name for name in instances if "Instance" in unit.facts_of(read_text(self.path(name)) or "")]

    def status(self, name: str) -> Status:
        wanted = "ActiveState,SubState,MainPID,Result,UnitFileState,ExecMainStartTimestamp"
        names = (self._unit(name), scope_name(name))
        shown = self._systemctl("show", *names, f"--property={wanted}", "--timestamp=unix").stdout
        said, scope = (_properties(part) for part in f"{shown}\n\n".split("\n\n")[:2])
        if said.get("ActiveState") != "active" and scope.get("ActiveState") == "active":
            return self._adopted(name, said, scope)
        state = said.get("ActiveState", "unknown")
        started = said.get("ExecMainStartTimestamp", "").lstrip("@")
        return Status(
            active=state == "active",
            pid=int(said.get("MainPID") or 0),
            detail=f"{state}/{said.get('SubState', '')} ({said.get('Result', '')})",
            enabled=said.get("UnitFileState") == "enabled",
            started=float(started) if started.isdigit() else 0.0,
            waiting=state == "activating",
            failed=state == "failed",
        )

    def _adopted(self, name: str, said: Mapping[str, str], scope: Mapping[str, str]) -> Status:
        """The state of an instance whose process lives in a scope."""
        inside = [item.pid for item in process.find_servers() if item.unit == scope_name(name)]
        pid = next(iter(belonging.outermost(inside)), 0)
        return Status(
            active=pid != 0,
            pid=pid,
            detail=f"adopted, {scope.get('ActiveState', '')}/{scope.get('SubState', '')}",
            enabled=said.get("UnitFileState") == "enabled",
            started=process.started_at(pid),
            adopted=True,
        )

    def install(self, name: str, text: str, beside: Mapping[str, str]) -> None:
        os.makedirs(self.folder, exist_ok=True)
        write_text(self.path(name), text)
        changed = [path for path, wanted in beside.items() if read_text(path) != wanted]
        for path in changed:
            write_text(path, beside[path])
        self._systemctl("daemon-reload", check=True)
        status = self.status(name)
        if changed and status.active and not status.adopted:  # the watchdog looks after units only
            self._systemctl("restart", f"{unit.watchdog_name(name)}.timer")

    def remove(self, name: str) -> None:
        self._systemctl("stop", scope_name(name), timeout=120)
        self._systemctl("disable", "--now", self._unit(name))
        self._systemctl("stop", f"{unit.watchdog_name(name)}.timer", f"{unit.watchdog_name(name)}.service")
        for what in ("state", "cache"):
            self._systemctl("clean", f"--what={what}", self._unit(name))
        for path in (self.path(name), *self._watchdog(name)):
            remove_file(path)
        left = [
            read_text(os.path.join(self.folder, file)) or "" for file in os.listdir(self.folder) if _is_candidate(file)
        ]
        if self.scope == "system" and not any(f"={unit.GPU_READY}" in text for text in left):
            remove_file(self._gpu_ready())
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

    def adopt(self, name: str, pids: Sequence[int], memory_max: int | None) -> None:
        """Make a scope around processes (org.freedesktop.systemd1, StartTransientUnit)."""
        service = self._unit(name)
        properties = _scope_properties(service, pids, memory_max)
        said = [word for key, kind, values in properties for word in (key, kind, *values)]
        manager = ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"]
        call = [
            *manager,
            "StartTransientUnit",
            "ssa(sv)a(sa(sv))",
            scope_name(name),
            "fail",
            str(len(properties)),
            *said,
            "0",
        ]
        self._run("busctl", "call", "--", *call, check=True)

    def stop(self, name: str) -> None:
        # apart and in this order: the end of the scope of an adopted process would start the unit again
        self._systemctl("stop", scope_name(name), timeout=120)
        self._systemctl("stop", self._unit(name), timeout=120)

    def mark(self, name: str) -> str:
        """A cursor: times would mislead when somebody sets the clock."""
        said = self._journal("--lines=0", "--show-cursor")
        return said.rpartition("-- cursor: ")[2].strip()

    def log(self, name: str, mark: str = "", lines: int = 4000) -> str:
        where = self._of(name) + ([f"--after-cursor={mark}"] if mark else [])
        return self._journal(*where, "--output=cat", f"--lines={lines}")

    def recent(self, name: str, lines: int, since: str) -> list[str]:
        where = self._of(name)
        if since == logs.START:  # by the id of that start, and not by a time: the clock may have been set
            run_id = self._systemctl("show", self._unit(name), "--property=InvocationID", "--value").stdout.strip()
            prefix = "" if self.scope == "system" else "USER_"
            where = [f"_SYSTEMD_INVOCATION_ID={run_id}", "+", f"{prefix}INVOCATION_ID={run_id}"] if run_id else where
        elif since != logs.EVER:
            where.append(f"--since={since}")
        said = self._journal("--output=cat", f"--lines={lines}", *where, check=True)
        return said.splitlines()

    def follow(self, name: str) -> list[str]:
        return ["journalctl", *self._of(name), "--output=cat", "--follow"]

    def entries(self, name: str, lines: int, after: str, since: str, follow: bool) -> list[str]:
        """The command that prints the log as JSON, an entry a line: the last ones, or those after a cursor."""
        scope = [] if self.scope == "system" else ["--user"]
        where = [f"--after-cursor={after}", "--lines=all"] if after else [f"--lines={'all' if lines < 0 else lines}"]
        where += [f"--since={since}"] if since else []
        fields = ["--output=json", "--output-fields=MESSAGE,PRIORITY", "--all", "--no-pager", "--quiet"]
        return ["journalctl", *scope, *self._of(name), *fields, *where, *(["--follow"] if follow else [])]

    def _of(self, name: str) -> list[str]:
        return ["--unit" if self.scope == "system" else "--user-unit", self._unit(name)]

    def _journal(self, *words: str, check: bool = False) -> str:
        scope = [] if self.scope == "system" else ["--user"]
        return run(["journalctl", *scope, "--no-pager", "--quiet", *words], check=check, timeout=30).stdout

    def _watchdog(self, name: str) -> tuple[str, str]:
        """Paths of the service and the timer that watch an instance."""
        stem = os.path.join(self.folder, unit.watchdog_name(name))
        return stem + ".service", stem + ".timer"

    def _gpu_ready(self) -> str:
        return os.path.join(self.folder, unit.GPU_READY)

    def _version(self) -> int:
        if self._known_version is None:
            said = re.match(r"systemd (\d+)", self._systemctl("--version").stdout)
            self._known_version = int(said[1]) if said else 0
        return self._known_version

    @staticmethod
    def _unit(name: str) -> str:
        return f"{unit.PREFIX}{name}.service"

    def _systemctl(self, *words: str, check: bool = False, timeout: float = 60) -> Result:
        return self._run("systemctl", *words, check=check, timeout=timeout)

    def _run(self, program: str, *words: str, check: bool = False, timeout: float = 60) -> Result:
        scope = [] if self.scope == "system" else ["--user"]
        env = {**os.environ, "XDG_RUNTIME_DIR": runtime_folder()} if scope else None
        return run([program, *scope, *words], env=env, check=check, timeout=timeout)


def scope_name(name: str) -> str:
    """The scope around the process of an adopted instance."""
    return f"{unit.PREFIX}{name}.scope"


def _scope_properties(service: str, pids: Sequence[int], memory_max: int | None) -> list[tuple[str, str, list[str]]]:
    """Name, D-Bus type and values. Whoever starts the service ends the scope, and the end of the scope starts it."""
    found = [
        ("Description", "s", [f"llama.cpp process adopted for {service}"]),
        ("PIDs", "au", [str(len(pids)), *(str(pid) for pid in pids)]),
        *((key, "as", ["1", service]) for key in ("Conflicts", "Before", "OnSuccess", "OnFailure")),
        ("CollectMode", "s", ["inactive-or-failed"]),
        ("TimeoutStopUSec", "t", ["10000000"]),
    ]
    return [*found, *([("MemoryMax", "t", [str(memory_max)])] if memory_max else [])]


def _properties(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _missing_groups() -> list[str]:
    """Those groups of GPU nodes that this host does not have; a host without udev has none."""
    known = {entry.gr_name for entry in grp.getgrall()}
    return [group for group in hardening.GPU_GROUPS if group not in known]


def _is_candidate(file: str) -> bool:
    return file.startswith(unit.PREFIX) and file.endswith(".service")
