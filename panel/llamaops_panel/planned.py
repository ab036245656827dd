# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans, as hosts answer them, and who may have a host go out for one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.onhost import asked

from .access.guard import NotAllowed
from .access.identity import User
from .fleet.fleet import Fleet

_HERE = re.compile(r"/.*|builtin:tiny|[a-z0-9][a-z0-9-]{0,39}", re.DOTALL)


async def plan(fleet: Fleet, user: User, host: str, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a host answers to the entry of an instance.

    :raises NotAllowed: it would go out for it, and the user is no operator. :raises HostError: it gives no plan.
    """
    may_ask(user, entry)
    return await fleet.ask(host, "plan", name=name, entry=entry)


def may_ask(user: User, entry: Mapping[str, Any]) -> None:
    """Raises NotAllowed where a plan makes a host ask another server, which is for operators. Pure."""
    outside = elsewhere(entry)
    if outside and not user.allows("operator"):
        raise NotAllowed(
            f"For {outside[0][:80]} a host asks another server, which needs the role operator; {user.name} is "
            f"{user.role}. Name a model set or a path of the host."
        )


def elsewhere(entry: Mapping[str, Any]) -> list[str]:
    """What of an entry may lie on another server: whatever is neither a path nor the name of a set. Pure."""
    question, _notes = asked.question(entry, ())
    model = question.get("model")
    said = [model.get(key) for key in ("ref", "source", "draft")] if isinstance(model, Mapping) else [model]
    said.append(question["options"].get("spec_draft_model"))
    return [str(value) for value in said if value and not _HERE.fullmatch(str(value))]
