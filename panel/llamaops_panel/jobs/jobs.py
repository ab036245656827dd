# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All jobs of the panel: asked for, queued, run in processes of their own, followed, found again after a restart."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput, Prerequisite
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.files import write_json

from ..store.jobs import JobStore
from . import command, processes, queue
from .job import CANCELLED, LOST, QUEUED, RUNNING, Job
from .journal import Reader, Writer
from .operations import PREVIEWED, Operation, get, operations
from .runner import CANCEL, GRACE, JOB, PROCESS

KEEP = 500  # closed jobs whose logs are kept
QUEUE = 200  # jobs that may wait
_PAUSE = 0.25
_PATIENCE = 30.0  # seconds for the process of a job to take it
_log = logging.getLogger(__name__)


class Jobs:
    """One object for the life of the panel; its methods belong to the event loop.

    :param folder: where jobs lie, each in a folder of its own; support bundles go to `support/` beside them.
    :param inventory: what `-i` names, as the operator gave it.
    :param project: the folder in which playbooks run: that of the operator's ansible.cfg.
    :param hosts: the names of the hosts of the inventory, as they are now.
    :param extra: further words of every command line, such as --vault-password-file and its path.
    """

    def __init__(
        self,
        folder: Path,
        store: JobStore,
        inventory: Sequence[str],
        project: Path,
        hosts: Callable[[], Collection[str]],
        *,
        extra: Sequence[str] = (),
        keep: int = KEEP,
        grace: float = GRACE,
    ) -> None:
        self._folder, self._store, self._inventory, self._project = folder, store, list(inventory), project
        self._hosts, self._extra, self._keep, self._grace = hosts, list(extra), keep, grace
        self._open: dict[str, Job] = {}
        self._followed: dict[str, asyncio.Task[None]] = {}
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    async def start(self) -> None:
        """Find again what ran and what waited when the panel ended."""
        for job in await self._store.open():
            self._open[job.id] = job
            if job.state == RUNNING:
                self._follow(job)
        await self._forget()
        await self._advance()

    async def stop(self) -> None:
        """Stop following. Jobs that run go on."""
        for task in self._followed.values():
            task.cancel()
        await asyncio.gather(*self._followed.values(), return_exceptions=True)
        self._followed.clear()

    def operations(self) -> Mapping[str, Operation]:
        """All that can be done, by name."""
        return operations()

    def command(self, op: str, hosts: Sequence[str], given: Mapping[str, Any], check: bool) -> list[str]:
        """The exact command line of a job.

        :raises InvalidInput: an operation, host or value is wrong.
        """
        operation = get(op)
        if not check and PREVIEWED in given:
            raise InvalidInput("An edit that is not written can only be checked.", "Write it, then apply.")
        named = command.known_hosts(hosts, self._hosts())
        variables = operation.variables(given)
        if op == "support":
            variables["dest"] = str(self._folder.parent / "support")
        sources = [*(word for path in self._inventory for word in ("-i", path)), *self._extra]
        return command.line(operation.playbook, sources, named, variables, check)

    async def submit(self, op: str, hosts: Sequence[str], given: Mapping[str, Any], *, check: bool, by: str) -> Job:
        """Ask for a job. It begins as soon as no change before it works on one of its hosts.

        :raises InvalidInput: an operation, host or value is wrong.
        :raises Prerequisite: its folder cannot be written, or too many wait.
        """
        words = self.command(op, hosts, given, check)
        if len(self._open) >= QUEUE:
            raise Prerequisite(f"{QUEUE} jobs wait or run already.", "Cancel some, or wait.")
        now = time.time()
        job = Job(
            id=f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{secrets.token_hex(3)}",
            op=op,
            hosts=tuple(sorted(set(hosts))),
            given={key: value for key, value in given.items() if key != PREVIEWED},
            check=check,
            by=by,
            command=tuple(words),
            created=now,
        )
        await asyncio.to_thread(self._make_folder, job)
        await self._store.save(job)
        self._open[job.id] = job
        await self._advance()
        return self.get(job.id)

    async def cancel(self, job_id: str, by: str) -> None:
        """Take a job out of the queue, or ask its playbook to end. A job that is over is left alone.

        :raises InvalidInput: there is no such job.
        """
        job = self.get(job_id)
        if job.state == QUEUED:
            said = f"Cancelled by {by} before it began; nothing was done."
            await self._close(job, {"state": CANCELLED, "text": said}, True)
            await self._advance()
        elif job.state == RUNNING:
            await asyncio.to_thread(write_json, str(self._at(job_id) / CANCEL), {"by": by, "at": time.time()}, 0o600)

    def get(self, job_id: str) -> Job:
        """:raises InvalidInput: there is no such job."""
        found = self._open.get(job_id) or self._store.get(job_id)
        if found is None:
            raise InvalidInput(f"There is no job {str(job_id)[:40]!r}.", f"The last {self._keep} jobs are kept.")
        return found

    def list(
        self,
        *,
        host: str | None = None,
        op: str | None = None,
        state: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[Job]:
        """The newest first; `before` is the id of the last one of the page before."""
        return self._store.find(host, op, state, limit, before)

    @property
    def running(self) -> Sequence[Job]:
        return [job for job in self._open.values() if job.state == RUNNING]

    def waits_for(self, job_id: str) -> Sequence[str]:
        """The ids of the jobs that a queued one waits for."""
        return queue.waits_for(self.get(job_id), list(self._open.values()))

    async def events(self, job_id: str, after: int = 0) -> AsyncIterator[dict[str, Any]]:
        """What happened, from the event after this counter on, then live until the end.

        :raises InvalidInput: there is no such job.
        """
        self.get(job_id)
        reader, over = Reader(self._at(job_id)), False
        while True:
            found = list(reader.new())
            for event in found:
                if event["counter"] > after:
                    yield event
                if event["kind"] == "end":
                    return
            if not found:
                if over:
                    return
                over = not self.get(job_id).open  # look once more: the end may have been written meanwhile
                await asyncio.sleep(0 if over else _PAUSE)

    # ---- from here on: how it is done

    def _at(self, job_id: str) -> Path:
        return self._folder / job_id

    def _make_folder(self, job: Job) -> None:
        spec = {
            "id": job.id,
            "hosts": list(job.hosts),
            "check": job.check,
            "command": list(job.command),
            "playbook": next(word for word in job.command if word.startswith("llamaops.")),
            "cwd": str(self._project),
            "grace": self._grace,
        }
        try:
            self._at(job.id).mkdir(parents=True, mode=0o700)
            write_json(str(self._at(job.id) / JOB), spec, 0o600)
        except OSError as exc:
            raise Prerequisite(
                f"The folder of jobs {self._folder} cannot be written: {exc.strerror}.",
                "Nothing was run. Free space there, or give the panel the right to write.",
            ) from exc

    async def _advance(self) -> None:
        """Begin what may begin."""
        for job in queue.ready(self._open.values()):
            running = replace(job, state=RUNNING, started=time.time())
            self._open[job.id] = running
            await self._store.save(running)
            await asyncio.to_thread(self._spawn, running)
            self._follow(running)

    def _spawn(self, job: Job) -> None:
        """A process in a session of its own, so that it is nobody's child when the panel ends."""
        folder = self._at(job.id)
        with open(folder / "runner.log", "ab") as log:
            self._started[job.id] = subprocess.Popen(
                [sys.executable, "-m", f"{__package__}.runner", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self._project,
            )

    def _follow(self, job: Job) -> None:
        self._followed[job.id] = asyncio.get_running_loop().create_task(self._until_end(job))

    async def _until_end(self, job: Job) -> None:
        """Wait for the end of a job that runs, whoever started it."""
        try:
            end = await self._end(job)
            await self._close(job, end, end.get("kind") != "end")
        finally:
            self._followed.pop(job.id, None)
            self._started.pop(job.id, None)
        await self._forget()
        await self._advance()

    async def _end(self, job: Job) -> dict[str, Any]:
        """How it ended: its last event, or what can be said when its process vanished."""
        reader, since = Reader(self._at(job.id)), time.monotonic()
        while True:
            events = list(reader.new())
            for event in events:
                if event["kind"] == "end":
                    return event
            if not events and not self._alive(job, since):
                events = list(reader.new())
                return next((event for event in events if event["kind"] == "end"), _vanished(self._at(job.id)))
            await asyncio.sleep(0 if events else _PAUSE)

    def _alive(self, job: Job, since: float) -> bool:
        """Does the process of the job run, or may it still come?"""
        process = self._started.get(job.id)
        code = process.poll() if process else None  # collects a child that ended
        identity = processes.claimed(self._at(job.id) / PROCESS)
        if identity is None:
            return (process is not None and code is None) or (process is None and time.monotonic() - since < _PATIENCE)
        return identity.alive

    async def _close(self, job: Job, end: Mapping[str, Any], write: bool) -> None:
        """Keep how it ended; `write` when its own process did not say so."""
        if write:
            with contextlib.suppress(OSError):
                journal = Writer(self._at(job.id))
                journal.add({"kind": "end", "rc": None, "recap": {}, **end})
                journal.close()
        done = replace(
            self._open.get(job.id, job),
            state=str(end["state"]),
            ended=float(end.get("at") or time.time()),
            rc=end.get("rc"),
            recap=end.get("recap") or {},
            summary=str(end.get("text", "")),
        )
        await self._store.save(done)
        self._open.pop(job.id, None)

    async def _forget(self) -> None:
        """Remove the oldest jobs beyond what is kept."""
        for job_id in await self._store.forget(self._keep):
            await asyncio.to_thread(shutil.rmtree, self._at(job_id), ignore_errors=True)


def _vanished(folder: Path) -> dict[str, Any]:
    if processes.claimed(folder / PROCESS) is None:
        text = "The process of this job did not start; nothing was done. See runner.log in its folder."
    else:
        text = (
            "The process that ran the playbook was killed, so nobody knows how it ended. Its events are kept. "
            "Run it again, which is safe: what is done already is left alone."
        )
    return {"state": LOST, "text": text}
