# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds that shall not come back after a rollback: the inventory names them, and what is active stays. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import InvalidInput
from . import recipe

if TYPE_CHECKING:
    from .buildplan import Plan, Request


def heed(request: Request, plan: Plan, active: str | None, root: str) -> Plan:
    """The plan, or, if it is about a refused build that would become active, one that leaves the active build.

    :param active: the build that is active now.
    :raises InvalidInput: nothing can stay: no build is active, or the refused one.
    """
    refused = _entry(request, plan) if request.activate else None
    if refused is None:
        return plan
    if active is None or active == refused:
        raise InvalidInput(
            f"The build {refused} is refused, and {'it' if active else 'no build'} is active in {root}.",
            "Go back first (playbook rollback), name another source, or take it off the list (llama_build_refused).",
        )
    said = f"The build {refused} is refused; {active} stays active."
    return replace(plan, build_id=active, compile=False, receive=False, rows=(), warnings=(*plan.warnings, said))


def _entry(request: Request, plan: Plan) -> str | None:
    """The entry that refuses a build, known by its id, or, where only a compile can tell that, by its recipe."""
    endings = recipe.endings(plan.recipe) if plan.recipe else ()
    return next((name for name in request.refused if name == plan.build_id or name.endswith(endings)), None)
