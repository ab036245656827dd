# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of instances, and of the server that a change starts beside one."""

from __future__ import annotations

from ..errors import InvalidInput
from ..names import check_name

_NEXT, _OF = "--next", "/"


def check(name: object) -> str:
    """The name of an instance.

    :raises InvalidInput: it cannot be one, or could be the name of a server that a change starts.
    """
    found = check_name("instance", name)
    if "--" in found:
        raise InvalidInput(
            f"{found!r} cannot name an instance: two dashes in a row mark what a change starts beside one.",
            "Use single dashes.",
        )
    return found


def successor(name: str) -> str:
    """The name of the server that is started beside an instance."""
    return name + _NEXT


def is_successor(name: str) -> bool:
    """Does a name belong to a server beside an instance?"""
    return name.endswith(_NEXT)


def instance_of(name: str) -> str:
    """The instance that a server belongs to: it may be the one beside it, or one of the models of a router."""
    name = name.partition(_OF)[0]
    return name[: -len(_NEXT)] if is_successor(name) else name


def is_of_router(name: str) -> bool:
    """Does a name belong to a model of a router?"""
    return _OF in name


def of_router(router: str, model: str) -> str:
    """What a model of a router is called where instances are."""
    return f"{router}{_OF}{model}"
