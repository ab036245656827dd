# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs and changes as the panel does them: none without an entry in the audit log, whoever asks."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import LlamaOpsError

from .changes.changes import Changes, Proposal
from .jobs.job import Job
from .jobs.jobs import Jobs
from .store import StoreError
from .store.audit import Audit

_log = logging.getLogger(__name__)


class AuditedJobs(Jobs):
    def __init__(self, audit: Audit, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._audit = audit

    async def submit(self, op: str, hosts: Sequence[str], given: Mapping[str, Any], *, check: bool, by: str) -> Job:
        await self._audit.ready()
        job = await super().submit(op, hosts, given, check=check, by=by)
        what = f"job.check {op}" if check else f"job.run {op}"
        await self._audit.write(by, what, " ".join(job.hosts), shlex.join(job.command), f"{job.id} submitted")
        return job

    async def cancel(self, job_id: str, by: str) -> None:
        job = self.get(job_id)
        await self._audit.write(by, f"job.cancel {job.op}", " ".join(job.hosts), result=job_id)
        await super().cancel(job_id, by)

    async def _close(self, job: Job, end: Mapping[str, Any], write: bool) -> None:
        await super()._close(job, end, write)
        what, result = f"job.end {job.op}", f"{job.id} {end['state']}"
        try:
            await self._audit.write(job.by, what, " ".join(job.hosts), shlex.join(job.command), result)
        except StoreError as error:
            _log.error("the end of the job %s is missing in the audit log: %s", job.id, error)


class AuditedChanges(Changes):
    def __init__(self, audit: Audit, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._audit = audit

    def write(self, proposal: Proposal, by: str) -> None:
        self._audit.ready_now()
        what = "instance.delete" if proposal.fields is None else "instance.write"
        target = f"{proposal.host}/{proposal.name}"
        try:
            super().write(proposal, by)
        except LlamaOpsError as error:
            self._audit.write_now(by, what, target, result=f"refused: {error.problem}")
            raise
        self._audit.write_now(by, what, target, result=f"written to {proposal.file}")
