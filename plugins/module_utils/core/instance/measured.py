# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking the build what it would take itself, before an instance with `plan: {exact: true}` is launched."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from ..command import Result
from ..errors import LlamaOpsError
from ..memory import exact, shards
from ..memory.plan import Model
from ..memory.table import Device
from . import candidates, planned
from .planned import Question
from .record import Record

Execute = Callable[[Sequence[str], Mapping[str, str]], Result]


def differences(question: Question, record: Record, execute: Execute, busy: Collection[str]) -> list[str]:
    """Where the build disagrees with a plan, or why it was not asked: one sentence each.

    :param execute: runs a command without rights, with these variables.
    :param busy: RPC workers that serve already; another client would wait for ever.
    """
    workers = [str(row["id"]) for row in record.devices if row["backend"] == candidates.RPC]
    where = f"Instance {question.instance.name!r}: exact"
    taken = [worker for worker in workers if worker in busy]
    if taken:
        return [f"{where}: the workers {', '.join(taken)} serve already, so the build was not asked."]
    options = {**record.options, "device": [row["id"] for row in record.devices]}
    devices = [Device(row["id"], row["backend"], row["total"], row["total"]) for row in record.devices]
    path = question.files.model.path
    try:
        argv = exact.command(question.build.tool("llama-fit-params"), path, exact.of_options(options), workers)
        said = execute(argv, planned.place(record).env)
        report = exact.report(Model(shards.read(path)), options, devices, said.stdout)
    except LlamaOpsError as exc:
        return [f"{where}: the build did not say what it takes: {exc}"]
    return [f"{where}: {sentence}" for sentence in report["differences"]]
