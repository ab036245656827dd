# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what an inventory and the facts of its hosts say to a placement: the one call that playbooks make."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..errors import InvalidInput
from ..gguf import geometry
from ..model import modellist
from ..names import check_keys
from . import hosts, wanted, written
from .needs import Needs, Source
from .place import place, unsettled

HOST_FIELDS = ("facts", "labels", "others", "instances", "records", "defaults", "zone")
# what of llama_instances_defaults decides about memory, so that all hosts must agree
_SHARED = (
    "ctx_size",
    "parallel",
    "cache_type_k",
    "cache_type_v",
    "gpu_layers",
    "n_cpu_moe",
    "cpu_moe",
    "options",
    "spec",
)


def answer(
    fleet: Mapping[str, Any],
    described: Mapping[str, Mapping[str, Any]],
    geometries: Mapping[str, Any],
    models: Mapping[str, Any],
) -> dict[str, Any]:
    """`{documents, changed, refused, moves, lines}`: what the files of hosts hold, which differ, what to tell people.

    :param described: by host `{facts, labels, others, instances, records, defaults, zone}`: its GPUs, groups, instances
        that were not placed, what was placed before, `llama_instances_defaults`, and which hosts it may work with.
    :param geometries: by model, as the module gguf_geometry reads them.
    :raises InvalidInput: names what cannot be used. :raises Untrusted: a geometry is none.
    """
    entries, machines, standing = _read(fleet, described, models)
    needs = Needs({name: _source(value) for name, value in geometries.items()})
    found = place(entries, _hosts(machines, standing), standing, needs)
    documents = written.documents(found, list(machines))
    changed = [name for name, held in documents.items() if not _same(held, machines[name])]
    return {
        "documents": documents,
        "changed": changed,
        "refused": sorted(name for refusal in found.refusals for name in refusal.replicas),
        "moves": found.moves,
        "lines": written.lines(found),
    }


def _same(held: Mapping[str, Any], machine: Mapping[str, Any]) -> bool:
    stood = (machine.get("instances") or {}, machine.get("records") or {})
    return stood == (held[written.INSTANCES], held[written.RECORDS])


def _read(
    fleet: Mapping[str, Any], described: Mapping[str, Mapping[str, Any]], models: Mapping[str, Any]
) -> tuple[list[wanted.Wanted], dict[str, Any], dict[str, dict[str, Any]]]:
    """The entries, the hosts as plain data, and what stands on them."""
    plain = json.loads(json.dumps({"fleet": fleet, "hosts": described, "models": models}))
    machines: dict[str, Any] = plain["hosts"]
    for name, machine in machines.items():
        check_keys(f"The host {name}", machine, HOST_FIELDS)
        if not machine.get("facts"):
            raise InvalidInput(f"The facts of the host {name} are missing.", "Placement needs those of every host.")
    known = sorted({*machines, *(label for machine in machines.values() for label in machine.get("labels", ()))})
    standing = {
        name: written.standing(machine.get("instances") or {}, machine.get("records") or {}, name)
        for name, machine in machines.items()
    }
    return wanted.read(plain["fleet"], _defaults(machines), plain["models"], known), machines, standing


def _hosts(machines: Mapping[str, Any], standing: Mapping[str, Mapping[str, Any]]) -> list[hosts.Host]:
    return [
        hosts.read(
            name,
            machine["facts"],
            labels=machine.get("labels", ()),
            others=machine.get("others", ()),
            placed=standing[name],
            zone=str(machine.get("zone") or ""),
        )
        for name, machine in machines.items()
    ]


def _defaults(machines: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The defaults that all hosts share.

    :raises InvalidInput: two hosts have different ones for something that memory depends on.
    """
    found: dict[str, Any] = {}
    for number, name in enumerate(sorted(machines)):
        own = dict(machines[name].get("defaults") or {})
        if not number:
            found, first = own, name
        for key in _SHARED:
            if own.get(key) != found.get(key):
                raise InvalidInput(
                    f"llama_instances_defaults has another {key} on {name} than on {first}.",
                    "A model must need the same memory wherever it is placed: say it in llama_fleet.",
                )
    return found


def _source(value: Mapping[str, Any]) -> Source:
    draft = value.get("draft")
    return Source(
        header=geometry.unpack(value["header"]),
        mmproj=int(value.get("mmproj") or 0),
        draft=geometry.unpack(draft) if draft else None,
        size=int(value.get("size") or 0),
    )


def needed(
    fleet: Mapping[str, Any], described: Mapping[str, Mapping[str, Any]], models: Mapping[str, Any]
) -> dict[str, Any]:
    """`{sets, paths}`: the models of which a replica must be planned, as the module gguf_geometry takes them.

    :raises InvalidInput: as `answer`.
    """
    entries, machines, standing = _read(fleet, described, models)
    keys = {entry.key for entry in unsettled(entries, _hosts(machines, standing), standing)}
    sets = modellist.model_sets(models, [fleet], _defaults(machines))
    return {
        "sets": [item for item in sets if item["name"] in keys],
        "paths": sorted(key for key in keys if key[0] == "/"),
    }
