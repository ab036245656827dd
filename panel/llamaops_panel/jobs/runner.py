# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One job, in a process of its own: `python -m llamaops_panel.jobs.runner FOLDER`.

It runs the playbook by ansible-runner and writes its events. The panel may end, be killed and come back meanwhile: the
folder of the job is all that they share.

    job.json       what to run, written by the panel
    process.json   who runs it: pid, start time, boot; written here, once
    events.jsonl   what happened; its last line says how it ended
    cancel.json    somebody wants it to end, written by the panel
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_runner import RunnerConfig
from ansible_runner.runner import Runner

from . import processes
from .events import Account
from .journal import Writer

JOB, PROCESS, CANCEL = "job.json", "process.json", "cancel.json"
GRACE = 20.0  # seconds between asking and killing
_PROMPTS = r"(?i)(password|passphrase)[^\n]{0,200}: ?$"


class Run:
    """The playbook of one job."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._spec: Mapping[str, Any] = json.loads((folder / JOB).read_text(encoding="utf-8"))
        self._account = Account(self._spec["hosts"], self._spec["check"])
        self._journal = Writer(folder)
        self._cancelled, self._asked = "", 0.0
        self._told: list[processes.Identity] = []

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self._terminated)
        private = self._folder / "runner"
        try:
            rc = self._play(private)
        except Exception as exc:  # noqa: BLE001  the end of a job must be known, whatever happened
            self._journal.add({"kind": "failed", "text": f"The playbook could not be run: {exc}"})
            rc = 1
        self._journal.add(self._account.end(None if self._cancelled else rc, self._cancelled))
        self._journal.close()
        shutil.rmtree(private, ignore_errors=True)

    def _play(self, private: Path) -> int | None:
        config = RunnerConfig(
            private_data_dir=str(private),
            playbook=self._spec["playbook"],
            project_dir=self._spec["cwd"],
            ident="run",
            settings={"pexpect_timeout": 1, "suppress_output_file": True},
            passwords={_PROMPTS: ""},  # nobody is there to type one: fail at once
            quiet=True,
        )
        config.prepare()
        config.command = list(self._spec["command"])
        if "ANSIBLE_HOST_KEY_CHECKING" not in os.environ:
            config.env.pop("ANSIBLE_HOST_KEY_CHECKING", None)  # ansible-runner would switch it off
        config.env.update(
            PATH=f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}", ANSIBLE_NOCOLOR="1"
        )
        runner = Runner(
            config, event_handler=self._event, status_handler=self._status, cancel_callback=self._must_be_killed
        )
        runner.run()
        return None if runner.rc is None else int(runner.rc)

    def _event(self, given: dict[str, Any]) -> bool:
        """Write the event in our shape; ansible-runner keeps no file of its own."""
        for event in self._account.take(given):
            self._journal.add(event)
        return False

    def _status(self, status: Mapping[str, Any], **_more: Any) -> None:
        if status["status"] == "running":  # it holds the environment, which may hold secrets
            (self._folder / "runner" / "artifacts" / "run" / "command").unlink(missing_ok=True)

    def _terminated(self, _signal: int, _frame: Any) -> None:
        self._cancelled = self._cancelled or "a signal"

    def _must_be_killed(self) -> bool:
        """Asked about once a second. At first ask the playbook to end; true when it had its time."""
        if not self._asked:
            if not self._cancelled and (self._folder / CANCEL).exists():
                self._cancelled = _who(self._folder / CANCEL)
            if not self._cancelled:
                return False
            self._asked = time.monotonic()
            self._journal.add(
                {"kind": "stdout", "text": f"Cancelled by {self._cancelled}: the playbook is asked to end."}
            )
            self._told = processes.below(os.getpid())
            processes.terminate(self._told)
            return False
        if time.monotonic() - self._asked < self._spec.get("grace", GRACE):
            return False
        self._journal.add({"kind": "stdout", "text": "The playbook did not end in time and was killed."})
        processes.kill([*self._told, *processes.below(os.getpid())])
        return True


def _who(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["by"])[:100]
    except (OSError, ValueError, KeyError, TypeError):
        return "somebody"


def main() -> int:
    folder = Path(sys.argv[1])
    os.umask(0o077)
    if not processes.claim(folder / PROCESS):
        return 1  # another process has this job
    Run(folder).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
