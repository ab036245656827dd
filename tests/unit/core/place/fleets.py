# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Made-up hosts and wishes; the models are recorded ones."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "memory"))

import recorded
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.place import hosts as machines
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.place import wanted, written
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.place.needs import Needs, Source
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.place.place import Placement, place

GIB = 1 << 30
MODELS = {
    f"/m/{name}": Source(recorded.header(name), size=recorded.header(name).size)
    for name in (
        "llama3.2-1b-tied",
        "llama3.1-8b",
        "llama3.3-70b",
        "qwen3-30b-a3b",
        "qwen3-235b-a22b",
        "gemma3-27b-tied",
    )
}
SMALL, EIGHT, BIG, EXPERTS, HUGE = (
    f"/m/{name}" for name in ("llama3.2-1b-tied", "llama3.1-8b", "llama3.3-70b", "qwen3-30b-a3b", "qwen3-235b-a22b")
)


def card(key: str, size: int, **more: Any) -> dict[str, Any]:
    """A GPU of so many GiB."""
    return {
        "id": f"GPU-{key}", "backend": "cuda", "name": "Card", "total": size * GIB, "used": 0, "numa": 0,
        "mig": False, "unified": False, "processes": [], **more,
    }  # fmt: skip


def facts(
    *cards: dict[str, Any], pairs: tuple[tuple[int, int], ...] = (), ram: int = 512, disk: int = 4000
) -> dict[str, Any]:
    links = [{"devices": [cards[one]["id"], cards[other]["id"]], "links": 4} for one, other in pairs]
    host = {"memory": {"total": ram * GIB, "available": ram * GIB}, "storage": {"free": disk * GIB}}
    return {"devices": list(cards), "topology": links, "host": host}


def run(
    fleet: Mapping[str, Any],
    described: Mapping[str, Mapping[str, Any]],
    before: Mapping[str, Mapping[str, Any]] | None = None,
    groups: Mapping[str, list[str]] | None = None,
    others: Mapping[str, list[dict[str, Any]]] | None = None,
    zones: Mapping[str, str] | None = None,
) -> Placement:
    """Place a fleet on hosts; `before` are the documents of an earlier run."""
    standing = {
        host: written.standing(held.get(written.INSTANCES, {}), held.get(written.RECORDS, {}), host)
        for host, held in (before or {}).items()
    }
    known = [*described, *{group for listed in (groups or {}).values() for group in listed}]
    entries = wanted.read({name: {"port": 8080, **entry} for name, entry in fleet.items()}, {}, {}, known)
    found = [
        machines.read(
            name,
            known_facts,
            (groups or {}).get(name, ()),
            (others or {}).get(name, ()),
            standing.get(name),
            (zones or {}).get(name, ""),
        )
        for name, known_facts in described.items()
    ]
    return place(entries, found, standing, Needs(MODELS))


def documents(placement: Placement, described: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return written.documents(placement, list(described))


def where(placement: Placement) -> dict[str, tuple[str, list[str]]]:
    """Replica -> host and devices."""
    return {bound.name: (bound.host, [device[4:] for device in bound.sizes]) for bound in placement.bound}
