# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of a module that may work for hours.

The module runs as an asynchronous job of the host, so that a connection that is lost costs nothing, and its line of
progress (`<root>/work/jobs/<job>.progress`) is shown while it does. A play that was interrupted and is run again with
the same arguments finds the job by `<job>.jid` beside that line, and goes on watching it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

_LIMIT = 7 * 24 * 3600  # seconds a job may take
_PATIENCE = 1800.0  # seconds to wait for a host that cannot be reached
_FIRST_POLL, _LAST_POLL = 0.2, 5.0
_OF_THE_JOB = ("ansible_job_id", "started", "finished", "results_file")

display = Display()


class LongJob(ActionBase):
    """A module with the options `root` and `job`, run as a job of the host that is watched."""

    _supports_async = True
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self._vars = task_vars or {}
        return self._perform(dict(self._task.args))

    def _perform(self, arguments: dict[str, Any], **extra: Any) -> dict[str, Any]:
        """Run the module as a job of the host, or go on watching the one that runs already; returns its result.

        :param extra: further arguments, which do not make it another job.
        """
        if self._task.check_mode or self._task.async_val or not arguments.get("root"):
            return self._execute_module(
                module_args={**arguments, **extra}, task_vars=self._vars, wrap_async=self._task.async_val
            )
        self._job = job_of(self._task.action, arguments)
        self._folder = self._remote_expand_user(str(arguments["root"])).rstrip("/") + "/work/jobs"
        jid: str | dict[str, Any] | None = self._running()
        if jid:
            self._show(f"goes on watching a run that was begun before: {self._read('progress')}")
        else:
            jid = self._start({**arguments, **extra, "job": self._job})
        return self._watch(jid) if isinstance(jid, str) else jid

    def _start(self, arguments: Mapping[str, Any]) -> str | dict[str, Any]:
        """The id of the job, or the result of a module that could not become one."""
        saved, self._task.async_val = self._task.async_val, _LIMIT
        try:
            begun = self._execute_module(module_args=dict(arguments), task_vars=self._vars, wrap_async=True)
        finally:
            self._task.async_val = saved
        return str(begun["ansible_job_id"]) if begun.get("ansible_job_id") else begun

    @contextlib.contextmanager
    def _checking(self) -> Iterator[None]:
        """What is executed in the block runs in check mode."""
        saved, self._task.check_mode = self._task.check_mode, True
        try:
            yield
        finally:
            self._task.check_mode = saved

    def _running(self) -> str | None:
        """The id of a job with the same arguments that an interrupted play left at work."""
        jid, _space, boot = self._read("jid").partition(" ")
        if not re.fullmatch(r"j[0-9]+(\.[0-9]+)?", jid) or boot != self._boot() or self._status(jid).get("finished"):
            return None
        return jid

    def _watch(self, jid: str) -> dict[str, Any]:
        """Wait for the job; returns its result."""
        pause, told, known = _FIRST_POLL, time.monotonic(), False
        lost: float | None = None
        while True:
            try:
                state = self._status(jid)
                if state.get("finished"):
                    return self._result(jid, state)
                known = known or self._remember(jid)
                if time.monotonic() - told >= self._interval():
                    told = time.monotonic()
                    self._show(self._read("progress"))
                if lost and known and not self._running():
                    raise AnsibleActionFail("The host was started again and its job ended. Run this again.")
                lost = None
            except AnsibleConnectionFailure as exc:
                lost = lost or time.monotonic()
                self._lost(lost, exc)
            time.sleep(pause)
            pause = min(2 * pause, _LAST_POLL)

    def _status(self, jid: str) -> dict[str, Any]:
        folder = self.get_shell_option("async_dir", default="~/.ansible_async")
        return self._execute_module(
            module_name="ansible.builtin.async_status",
            module_args={"jid": jid, "mode": "status", "_async_dir": self._remote_expand_user(folder)},
            task_vars=self._vars,
        )

    def _result(self, jid: str, state: dict[str, Any]) -> dict[str, Any]:
        folder = self._remote_expand_user(self.get_shell_option("async_dir", default="~/.ansible_async"))
        paths = [f"{folder}/{jid}", *(f"{self._folder}/{self._job}.{kind}" for kind in ("jid", "progress"))]
        with contextlib.suppress(AnsibleConnectionFailure):
            self._low_level_execute_command(f"rm -f {shlex.join(paths)}")
        return {key: value for key, value in state.items() if key not in _OF_THE_JOB}

    def _remember(self, jid: str) -> bool:
        """Leave the id for a later play. False as long as the folder is not there."""
        path = shlex.quote(f"{self._folder}/{self._job}.jid")
        text = f"{jid} {self._boot()}"
        done = self._low_level_execute_command(f"test -d {shlex.quote(self._folder)} && echo {text} > {path}")
        return done["rc"] == 0

    def _boot(self) -> str:
        """What changes when the host starts again, which ends its jobs without a trace."""
        return str(self._low_level_execute_command("cat /proc/sys/kernel/random/boot_id").get("stdout", "")).strip()

    def _read(self, kind: str) -> str:
        """The first line of a file of the job, or nothing."""
        path = shlex.quote(f"{self._folder}/{self._job}.{kind}")
        done = self._low_level_execute_command(f"test ! -f {path} || head -c 1000 {path}")
        return str((done.get("stdout") or "").strip().partition("\n")[0]) if done["rc"] == 0 else ""

    def _lost(self, since: float, exc: Exception) -> None:
        if time.monotonic() - since > _PATIENCE:
            raise AnsibleActionFail(
                f"The host could not be reached for {_PATIENCE:.0f} s. Its job goes on; run this again to watch it."
            ) from exc
        self._show("the connection was lost; the job goes on")
        with contextlib.suppress(Exception):
            self._connection.reset()

    def _interval(self) -> float:
        """Seconds between two lines: more often for a person than for a log, or as `llama_progress_every` says."""
        return float(self._vars.get("llama_progress_every") or (5.0 if sys.stderr.isatty() else 30.0))

    def _show(self, text: str) -> None:
        if text and not self._task.no_log:
            shown = "".join(letter for letter in text if letter.isprintable())
            display.display(f"[{self._vars.get('inventory_hostname', '?')}] {shown}", stderr=True)


def job_of(action: str, arguments: Mapping[str, Any]) -> str:
    """The name of the job that a module with these arguments is; the same for the same arguments."""
    text = json.dumps([action, arguments], sort_keys=True, default=str)
    return f"{action.rsplit('.', 1)[-1].replace('_', '-')}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
