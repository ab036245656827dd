# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which jobs may begin: one change a host at a time, in the order in which they were asked for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .job import QUEUED, RUNNING, Job

CHANGES, CHECKS = 8, 4  # playbooks at once: each is a process of about 100 MB


def ready(jobs: Iterable[Job], changes: int = CHANGES, checks: int = CHECKS) -> list[Job]:
    """The queued jobs that may begin now, oldest first.

    A change waits for every change before it that names one of its hosts. Check runs wait for nobody but for their own
    number.
    """
    known = sorted(jobs, key=lambda job: (job.created, job.id))
    running = [job for job in known if job.state == RUNNING]
    busy = {host for job in running if not job.check for host in job.hosts}
    free = {False: changes - sum(not job.check for job in running), True: checks - sum(job.check for job in running)}
    found = []
    for job in (each for each in known if each.state == QUEUED):
        blocked = not job.check and not busy.isdisjoint(job.hosts)
        if not job.check:
            busy.update(job.hosts)
        if not blocked and free[job.check] > 0:
            free[job.check] -= 1
            found.append(job)
    return found


def waits_for(job: Job, jobs: Sequence[Job]) -> list[str]:
    """The ids of the changes that a queued job waits for."""
    if job.check or job.state != QUEUED:
        return []
    before = [each for each in jobs if each.open and not each.check and (each.created, each.id) < (job.created, job.id)]
    return [each.id for each in before if not set(each.hosts).isdisjoint(job.hosts)]
