# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a server that is called running still work? It is ended when it hangs, so that its manager starts it anew.

One file of the standard library, installed as `<root>/libexec/llama-watchdog` beside `llama-probe`, which asks
the server. The timer `llama-watchdog@NAME.timer` runs it while the instance runs; it may be run by hand too:

    llama-watchdog NAME URL [--kind KIND] [--key-file FILE] [--sleepy] [--user]

A server is ended only when two token probes in a row were missed and nothing showed progress between them: no
counter of its slots, and no work of its process. One that works and shows no counter is watched for up to 15 minutes
(one batch of a large model on a slow processor). Sleeping and unloaded models are not woken, and an idle server
generates only every five minutes, since each probe takes a slot from a conversation that may go on. Where it cannot be
asked (no key file, no right to its socket) nothing is known of it: that is `blind`, and ends no server. Pauses between
starts grow with each end; after ten minutes without one the manager is told to forget them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

READY, LOADING, SLEEPING, UNREACHABLE = "ready", "loading", "sleeping", "unreachable"
ANSWERED, MISSED, REFUSED, BLIND = "answered", "missed", "refused", "blind"
ALIVE, IDLE, BUSY, CHANGED = "alive", "idle", "busy", "changed"
CURED, HOPELESS, RETRIED, DOWN = "cured", "hopeless", "retried", "down"
QUIET = (ALIVE, IDLE, BUSY, CHANGED, SLEEPING, LOADING)


@dataclass(frozen=True)
class Rules:
    """Times in seconds; `cures` is how often a server is ended that never answers in between."""

    token_every: float = 300.0
    pause: float = 10.0
    patience: float = 900.0
    misses: int = 2
    cures: int = 3
    settled: float = 600.0  # after so long without an end, the ends before count no more
    least_work: float = 0.05  # of one processor


@dataclass(frozen=True)
class Service:
    """What the manager says: ActiveState, one process by `pid` and `started`, and how often it started it again."""

    state: str
    pid: int = 0
    started: int = 0
    restarts: int = 0


@dataclass(frozen=True)
class Look:
    """What a server says without generating; `progress` changes with every token, and is None when it says none."""

    state: str
    busy: bool = False
    progress: Any = None


@dataclass(frozen=True)
class Memory:
    """What the last look left, of the process `pid` that began at `started` and was first seen at `since`; `speed` is
    what it generated last, in tokens a second, at the time `measured` in seconds since the epoch.
    """

    pid: int = 0
    started: int = 0
    since: float = 0.0
    progress: Any = None
    token_at: float | None = None
    cures: int = 0
    speed: float | None = None
    measured: float = 0.0


class Server(Protocol):
    """An instance and its manager, as the watchdog reaches them."""

    sleepy: bool

    def service(self) -> Service: ...
    def look(self) -> Look: ...  # what the server says of itself
    def token(self) -> str: ...  # have it generate: answered, missed, refused (it will not serve us), blind (not asked)
    def work(self, pid: int) -> float | None: ...  # processor seconds of its process, None when it is gone
    def now(self) -> float: ...  # a clock that nobody sets
    def sleep(self, seconds: float) -> None: ...
    def end(self) -> None: ...  # at once; its manager starts it again
    def start(self) -> bool: ...  # ask for a start, unless it was stopped on purpose; True if that was asked
    def forgive(self) -> None: ...  # have its manager forget how often it was started again


def watch(server: Server, memory: Memory, rules: Rules) -> tuple[str, Memory]:
    """Look once, insist if that is due; returns the verdict and what to remember."""
    service = server.service()
    if service.state == "inactive":
        # neither stopped (its timer would be too) nor failed: a mount or device that it needs was missing
        return (RETRIED if server.start() else DOWN), memory
    if service.state != "active" or not service.pid:
        return (DOWN if service.state == "failed" else CHANGED), memory
    if (memory.pid, memory.started) != (service.pid, service.started):
        memory = Memory(service.pid, service.started, server.now(), cures=memory.cures)
    verdict, memory = _judge(server, service, memory, rules)
    if verdict in (ALIVE, IDLE) and service.restarts and server.now() - memory.since >= rules.settled:
        server.forgive()
    return verdict, memory


def _judge(server: Server, service: Service, memory: Memory, rules: Rules) -> tuple[str, Memory]:
    seen = server.look()
    if seen.state in (SLEEPING, LOADING):
        return seen.state, replace(memory, progress=seen.progress)
    if seen.state == READY:
        if memory.progress is not None and seen.progress not in (None, memory.progress):
            return ALIVE, _served(memory, seen.progress, server.now())
        fresh = memory.token_at is not None and server.now() - memory.token_at < rules.token_every
        if not seen.busy and (server.sleepy or fresh):
            return IDLE, replace(memory, progress=seen.progress)
    verdict = _insist(server, service, seen, rules)
    if verdict == ALIVE:
        return ALIVE, _served(memory, server.look().progress, server.now())
    if verdict != CURED:
        return verdict, replace(memory, progress=seen.progress)
    if memory.cures >= rules.cures:
        return HOPELESS, memory
    server.end()
    return CURED, replace(memory, cures=memory.cures + 1)


def _served(memory: Memory, progress: Any, now: float) -> Memory:
    return replace(memory, progress=progress, token_at=now, cures=0)


def _insist(server: Server, service: Service, seen: Look, rules: Rules) -> str:
    """Ask for a token until it comes, the server shows progress, or it has to be ended (`CURED`)."""
    began, known, misses = server.now(), seen.progress, 0
    work, since = server.work(service.pid), began
    while True:
        said = server.token()
        if said != MISSED:
            return {ANSWERED: ALIVE, REFUSED: BUSY}.get(said, BLIND)
        misses += 1
        after, now, done = server.look(), server.now(), server.work(service.pid)
        if server.service() != service or done is None or work is None:
            return CHANGED
        if after.state in (SLEEPING, LOADING):
            return after.state
        if known is not None and after.progress not in (None, known):
            return BUSY
        works = done - work > rules.least_work * max(now - since, 1.0)
        if misses >= rules.misses and not (works and now - began < rules.patience):
            return CURED
        known = after.progress if known is None else known
        work, since = done, now
        server.sleep(rules.pause)


class Instance:
    """An instance under systemd, on this host."""

    def __init__(self, wanted: argparse.Namespace) -> None:
        self.sleepy: bool = wanted.sleepy
        self.unit = f"llama-{wanted.name}.service"
        self.timer = f"llama-watchdog@{wanted.name}.timer"
        self.systemctl = ["systemctl", *(["--user"] if wanted.user else [])]
        probe = os.path.join(os.path.dirname(os.path.abspath(__file__)), "llama-probe")
        self.probe = [sys.executable, probe, wanted.url, "--kind", wanted.kind]
        self.probe += ["--key-file", wanted.key_file] if wanted.key_file else []
        self.deadline: float = wanted.timeout
        self.speed: float | None = None

    def service(self) -> Service:
        shown = self._manager("show", self.unit, "--property=ActiveState,MainPID,NRestarts")
        said = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        pid = int(said.get("MainPID") or 0)
        fields = _stat(pid)
        started = int(fields[19]) if fields else 0
        return Service(said.get("ActiveState", ""), pid, started, int(said.get("NRestarts") or 0))

    def look(self) -> Look:
        said = self._ask("--look", *(["--sleepy"] if self.sleepy else []))
        return Look(str(said.get("state", UNREACHABLE)), bool(said.get("busy")), said.get("progress"))

    def token(self) -> str:
        said = self._ask("--timeout", str(self.deadline))
        if said.get("ok"):
            self.speed = said.get("tokens_per_second")
            return ANSWERED
        return REFUSED if 400 <= int(said.get("status") or 0) < 500 else MISSED if said.get("asked") else BLIND

    def work(self, pid: int) -> float | None:
        return cpu_seconds(pid)

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def end(self) -> None:
        self._manager("kill", "--signal=SIGKILL", self.unit)

    def start(self) -> bool:
        if self._manager("show", self.timer, "--property=ActiveState", "--value").strip() != "active":
            return False
        self._manager("start", "--no-block", self.unit)
        return True

    def forgive(self) -> None:
        self._manager("reset-failed", self.unit)

    def _ask(self, *words: str) -> dict[str, Any]:
        try:
            said = json.loads(_output([*self.probe, *words], self.deadline + 30))
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}

    def _manager(self, *words: str) -> str:
        return _output([*self.systemctl, *words], 30)


def _output(argv: list[str], seconds: float) -> str:
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function  # no AnsibleModule is anywhere near
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=seconds, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def cpu_seconds(pid: int) -> float | None:
    """Processor time that a process has used, in seconds; None when it is gone."""
    fields = _stat(pid)
    return sum(int(fields[index]) for index in (11, 12)) / os.sysconf("SC_CLK_TCK") if fields else None


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name (proc(5)); empty when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def state_file(name: str) -> str:
    """What the watchdog of an instance remembers, in its runtime directory."""
    return f"llama-watchdog-{name}.json"


def _recall(path: str) -> Memory:
    try:
        with open(path, encoding="utf-8") as file:
            return Memory(**json.load(file))
    except (OSError, ValueError, TypeError):
        return Memory()


def _remember(path: str, memory: Memory) -> None:
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(asdict(memory), file)
    os.replace(path + ".new", path)


def main() -> int:
    parser = argparse.ArgumentParser(description="End a llama-server that hangs, so that it is started anew.")
    parser.add_argument("name")
    parser.add_argument("url")
    parser.add_argument("--kind", default="server")
    parser.add_argument("--key-file")
    parser.add_argument("--sleepy", action="store_true", help="its model may sleep: never have it generate when idle")
    parser.add_argument("--user", action="store_true", help="under the manager of this user")
    parser.add_argument("--timeout", type=float, default=15.0, help="seconds a token may take")
    parser.add_argument("--pause", type=float, default=Rules.pause, help="seconds between two probes")
    wanted = parser.parse_args()
    path = os.path.join(os.environ.get("RUNTIME_DIRECTORY") or f"/run/user/{os.getuid()}", state_file(wanted.name))
    instance = Instance(wanted)
    verdict, memory = watch(instance, _recall(path), Rules(pause=wanted.pause))
    if instance.speed:
        memory = replace(memory, speed=instance.speed, measured=time.time())
    _remember(path, memory)
    if verdict not in QUIET or sys.stdout.isatty():
        sys.stdout.write(json.dumps({"instance": wanted.name, "verdict": verdict, "cures": memory.cures}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
