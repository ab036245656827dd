# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a server that runs is replaced: by one that is started beside it, or after it has stopped."""

from __future__ import annotations

from dataclasses import dataclass

from . import front, unit
from .definition import Instance
from .planning import Plans
from .record import Record

BESIDE, IN_PLACE = "beside", "in_place"


@dataclass(frozen=True)
class Way:
    """`kind` is `BESIDE` or `IN_PLACE`, `why` the reason in words."""

    kind: str
    why: str


def choose(instance: Instance, before: str | None, plans: Plans) -> Way:
    """Beside, where a front can lead requests from one to the other and both fit.

    :param before: the unit of the server that runs.
    """
    if instance.front is None:
        fits, why = False, "it has no front"
    elif not front.gate(instance).there:
        fits, why = False, "its front does not run yet"
    else:
        fits, why = plans.beside(instance.name, Record.of(unit.facts_of(before or "")))
    return Way(BESIDE if fits else IN_PLACE, why)
