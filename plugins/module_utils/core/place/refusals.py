# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a replica has no place: every host's first reason, counted, and the cheapest change that would help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..sizes import human
from .hosts import Host
from .needs import Need, Needs
from .search import Fleet, admits, ladder, on_host, suits
from .wanted import Wanted

_SHORT = "memory of GPUs"
_GENERAL = "Fewer replicas, a smaller quantisation, or more GPUs."
_RUNGS = ("n_cpu_moe", "cache_type", "ubatch_size", "ctx_size", "gpu_layers")


@dataclass(frozen=True)
class Refusal:
    """Replicas of one entry without a place: sentences about the hosts, and what would help."""

    replicas: tuple[str, ...]
    reasons: tuple[str, ...]
    remedy: str


def refuse(wanted: Wanted, replicas: Sequence[str], fleet: Fleet, needs: Needs, helped: bool = True) -> Refusal:
    """Reasons by number of hosts, most first. Shortage of GPU memory tells the least of all hosts."""
    counted: dict[str, int] = {}
    short: int | None = None
    wants = [needs.alike(wanted, kind[0], kind[1], fleet.most[kind]) for kind in fleet.classes()]
    least = min(wants, key=lambda need: (not need.fits, need.count, need.short), default=None)
    for host in fleet.hosts:
        reason, missing = _reason(wanted, replicas[0], host, needs, least)
        counted[reason] = counted.get(reason, 0) + 1
        if missing is not None:
            short = missing if short is None else min(short, missing)
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    sentences = [f"{count} {'host' if count == 1 else 'hosts'}: {reason}" for reason, count in ranked]
    if short is not None:
        sentences = [line.replace(_SHORT, f"{_SHORT}, {human(short)} short at best") for line in sentences]
    return Refusal(tuple(replicas), tuple(sentences), _remedy(wanted, fleet, needs) if helped else _GENERAL)


def _reason(wanted: Wanted, name: str, host: Host, needs: Needs, least: Need | None) -> tuple[str, int | None]:
    """The first reason of a host, and the bytes that are missing where it is memory of GPUs."""
    named = [item for item in host.gpus if wanted.gpu.lower() in item.name.lower()]
    if not host.gpus:
        return "no GPU", None
    if not named:
        return f"no GPU whose name holds {wanted.gpu!r}", None
    if least is None:
        return "no GPU", None
    refused = admits(wanted, name, host, least, needs.source(wanted).size)
    if refused:
        return refused, None
    if len(named) < wanted.count:
        return f"fewer than {wanted.count} GPUs", None
    if not any(suits(wanted, item) for item in named):
        return (
            "every GPU is in use, and it wants one of its own" if wanted.exclusive else "every GPU is exclusive",
            None,
        )
    rooms = sorted((max(item.room, 0) for item in named if suits(wanted, item)), reverse=True)
    if not least.fits:
        return _SHORT, least.short
    wants = sorted(least.sizes, reverse=True)
    padded = rooms + [0] * max(len(wants) - len(rooms), 0)
    return _SHORT, sum(max(size - room, 0) for size, room in zip(wants, padded))


def _remedy(wanted: Wanted, fleet: Fleet, needs: Needs) -> str:
    """The cheapest change of the entry that would give it a place, in one sentence."""
    roomiest = sorted(fleet.hosts, key=lambda host: (-sum(max(item.room, 0) for item in host.gpus), host.name))
    if wanted.spread and any(
        on_host(wanted, host, needs) for host in roomiest[:3] if wanted.name in host.entries and not wanted.hosts
    ):
        return "spread: none would put it beside another replica."
    for rungs in ladder(replace(wanted, allow=_RUNGS)):
        for host in roomiest[:1]:
            spot = on_host(wanted, host, needs, rungs)
            if spot is not None and spot.need.ram <= host.ram:
                given = ", ".join(f"{key} {value}" for key, value in spot.need.changed)
                return (
                    f"plan: {{allow: [{', '.join(rungs)}]}} would fit it on {host.name}, with {given or 'more GPUs'}."
                )
    if not wanted.span and len(fleet.hosts) > 1:
        return "span: true would let workers on other hosts help."
    return _GENERAL
