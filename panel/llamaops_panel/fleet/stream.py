# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host's stream: started, read with bounded memory, asked, and started again with backoff when it is lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.onhost.lines import SCHEMA, Splitter

from . import checked
from .connection import NoWay, Way, way
from .host import CONNECTED, CONNECTING, LOST, OFF, Host, HostError
from .inventory import Known

FAST, SLOW = 2.0, 15.0  # seconds between two looks at a host
_FIRST, _LONGEST_PAUSE = 1.0, 60.0
_PATIENCE = 45.0  # seconds until the first line; and until a stream without any is given up
_SILENCE = 90.0
_ANSWER = 90.0
_QUEUE = 256  # messages of a followed log that wait for a slow reader
_NOT_THERE = (126, 127)

_Answers = asyncio.Queue[dict[str, Any]]


class Stream:
    """Keeps one host connected. `changed` is called whenever it has news."""

    def __init__(self, host: Host, known: Known, changed: Callable[[], None], gate: asyncio.Semaphore) -> None:
        self.host, self.known, self._changed, self._gate = host, known, changed, gate
        self._process: asyncio.subprocess.Process | None = None
        self._waiting: dict[int, asyncio.Queue[dict[str, Any]]] = {}
        self._number = 0
        self.fast = False  # whether somebody looks at the host
        self._paced = (0, 0.0)  # the request of a pace, and when it was sent
        self._complaint = b""
        self._task: asyncio.Task[None] | None = None
        self._errors: asyncio.Task[None] | None = None
        self._splitter = Splitter()
        self._early = b""

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep(), name=f"stream of {self.host.name}")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._link(OFF)

    def pace(self, fast: bool) -> None:
        """Have the host look at itself often, or now and then."""
        if fast != self.fast:
            self.fast = fast
            self._pace()

    async def ask(self, do: str, given: dict[str, Any]) -> dict[str, Any]:
        """:raises HostError: no connection, no answer in time, or a refusal."""
        async with self._question(do, given) as (_number, answers):
            try:
                async with asyncio.timeout(_ANSWER):  # wait_for of Python 3.11 may lose the end that it is told
                    said = await answers.get()
            except TimeoutError:
                raise HostError(f"{self.host.name} did not answer {do} within {_ANSWER:.0f} s.") from None
        return _answer(said)

    async def follow(self, do: str, given: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """Messages `{lines}` until the host has no more, or the reader stops; errors as of `ask`."""
        async with self._question(do, given) as (number, answers):
            try:
                while True:
                    said = await answers.get()
                    if "lines" not in said:
                        _answer(said)
                        return
                    yield {"lines": said["lines"]}
            finally:
                self._send("cancel", {"id": number})

    @contextlib.asynccontextmanager
    async def _question(self, do: str, given: dict[str, Any]) -> AsyncIterator[tuple[int, _Answers]]:
        answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        number = self._send(do, given)
        self._waiting[number] = answers
        try:
            yield number, answers
        finally:
            self._waiting.pop(number, None)

    def _send(self, do: str, given: dict[str, Any]) -> int:
        stdin = self._process.stdin if self._process else None
        if stdin is None or stdin.is_closing() or self.host.link.state != CONNECTED:
            if do in ("cancel", "interval"):
                return 0
            link = self.host.link
            raise HostError(f"{self.host.name} is not connected: {link.error or link.state}.", link.remedy)
        self._number += 1
        stdin.write(json.dumps({"id": self._number, "do": do, "with": given}).encode() + b"\n")
        return self._number

    def _pace(self) -> None:
        began = time.monotonic()
        self._paced = (self._send("interval", {"seconds": FAST if self.fast else SLOW}), began)

    async def _keep(self) -> None:
        pause = _FIRST
        while True:
            try:
                road = way(self.known)
            except NoWay as exc:
                return self._link(OFF, exc.message, exc.remedy)
            began = time.monotonic()
            self._link(CONNECTING if not self.host.link.error else LOST, self.host.link.error, self.host.link.remedy)
            try:
                async with self._gate:  # not a hundred keys exchanged at once
                    await self._open(road)
                await self._read()
                error, remedy = await self._why(road)
            except FileNotFoundError as exc:
                here = exc.filename is not None and str(exc.filename).endswith("llama-host")
                error, remedy = _absent(road) if here else (str(exc), "Install it where the panel runs.")
            except (OSError, ValueError, TimeoutError) as exc:
                error, remedy = f"{type(exc).__name__ if not str(exc) else exc}", "See that the host can be reached."
            finally:
                await self._close()
            if time.monotonic() - began > 4 * _LONGEST_PAUSE:
                pause = _FIRST
            delay = pause * random.uniform(0.7, 1.3)  # a switch that comes back is not stormed
            self._link(LOST, error, remedy, time.time() + delay)
            await asyncio.sleep(delay)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _open(self, road: Way) -> None:
        pipe = asyncio.subprocess.PIPE
        self._complaint = b""
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *road.argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True, env=_environment()
            )
        )
        try:  # asyncio may wait for ever when it is cancelled between fork and pipes
            self._process = await asyncio.shield(starting)
        except asyncio.CancelledError:
            self._process = await starting
            raise
        self._errors = asyncio.create_task(self._complain(self._process))
        self._splitter = Splitter()
        stdout = self._process.stdout
        async with asyncio.timeout(_PATIENCE):
            self._early = await stdout.read(1 << 16) if stdout else b""

    async def _read(self) -> None:
        """Until the stream ends, or is silent for too long."""
        stdout = self._process.stdout if self._process else None
        data = self._early
        while data and stdout:
            for line, cut in self._splitter.feed(data):
                self._take(line, cut)
            await asyncio.sleep(0)  # one that talks without end must not keep the others waiting
            async with asyncio.timeout(_SILENCE):
                data = await stdout.read(1 << 16)

    def _take(self, line: bytes, cut: bool) -> None:
        said = None if cut else checked.message(line)
        if said is None:
            if cut and self.host.link.state == CONNECTED:
                self.host.link.error = "It sent a line of more than 1 MiB, which was left out."
            return
        if "kind" not in said:
            if said["id"] == self._paced[0]:
                self.host.link.latency = round(time.monotonic() - self._paced[1], 4)
            waiting = self._waiting.get(said["id"])
            if waiting is not None and waiting.qsize() < _QUEUE:
                waiting.put_nowait(said)
            elif waiting is not None:  # a reader that does not keep up is told, and goes on from its last cursor
                waiting.put_nowait({"error": {"message": "The reader was too slow."}})
            return
        now = time.time()
        self.host.seen = now
        if said["kind"] == "hello":
            if said.get("schema") != SCHEMA:
                raise ValueError(f"It speaks version {str(said.get('schema'))[:20]} of the protocol, not {SCHEMA}.")
            self.host.hello = said
            self._link(CONNECTED)
            self._pace()
        elif self.host.link.state == CONNECTED:
            setattr(self.host, said["kind"], said)
        if isinstance(said.get("at"), (int, float)):
            self.host.skew = round(said["at"] - now, 1)
        self._changed()

    async def _complain(self, process: asyncio.subprocess.Process) -> None:
        while process.stderr and (data := await process.stderr.read(4096)):
            self._complaint = (self._complaint + data)[-2000:]

    async def _why(self, road: Way) -> tuple[str, str]:
        """Why a stream ended, and what helps."""
        process = self._process
        code = await _ended(process, 5) if process else None
        if self._errors:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await self._errors
        said = checked.text(self._complaint.decode("utf-8", "replace").strip().replace("\n", " "))[-400:]
        if code in _NOT_THERE or "command not found" in said:
            return _absent(road)
        if "password is required" in said or "a terminal is required" in said:
            return "sudo wants a password.", "Allow the panel `sudo -n` for llama-host, see docs/operations.md."
        if "Host key verification failed" in said:
            return "The key of the host is not the known one.", "Add it to known_hosts after you compared it."
        if "Permission denied" in said:
            return f"The login was refused: {said}", "Give the panel a key that this host accepts."
        return f"The stream ended with status {code}{f': {said}' if said else '.'}", "It is tried again by itself."

    async def _close(self) -> None:
        for answers in self._waiting.values():
            answers.put_nowait({"error": {"message": f"The stream of {self.host.name} was lost."}})
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin:
            process.stdin.close()
        await _ended(process, 0.5)
        with contextlib.suppress(ProcessLookupError):  # also what it started and left behind
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(TimeoutError):  # asyncio lets go of a process when all that it wrote was read
            async with asyncio.timeout(2):
                await _drained(process)
        if self._errors:
            self._errors.cancel()

    def _link(self, state: str, error: str = "", remedy: str = "", retry_at: float | None = None) -> None:
        link = self.host.link
        if link.state != state:
            link.state, link.since = state, time.time()
        link.error, link.remedy, link.retry_at = error, remedy, retry_at
        self._changed()


async def _ended(process: asyncio.subprocess.Process, seconds: float) -> int | None:
    """Its status once it has ended; None if it has not in time. What it left behind may still hold its pipes."""
    deadline = time.monotonic() + seconds
    while process.returncode is None and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    return process.returncode


async def _drained(process: asyncio.subprocess.Process) -> None:
    while process.stdout and await process.stdout.read(1 << 16):
        pass
    await process.wait()


def _absent(road: Way) -> tuple[str, str]:
    return f"{road.root}/libexec/llama-host is not there.", "Run the playbook site, which installs it."


def _environment() -> dict[str, str]:
    """What ssh needs, and nothing that the panel knows besides."""
    kept = ("PATH", "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR", "LANG")
    return {name: os.environ[name] for name in kept if name in os.environ}


def _answer(said: dict[str, Any]) -> dict[str, Any]:
    if "error" in said:
        raise HostError(said["error"]["message"], said["error"].get("remedy", ""))
    found: dict[str, Any] = said["answer"]
    return found
