# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who works for whom, from the inventory alone: no host is asked, so that every run of a part of the hosts agrees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidInput
from ..instance import placement
from ..names import check_keys, check_name, did_you_mean
from . import definition


@dataclass(frozen=True)
class Host:
    """What an inventory says of a host: its address in the network, its workers, and `rpc` of its instances by name."""

    address: str = ""
    workers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    rpc: Mapping[str, Any] = field(default_factory=dict)


def merge(sources: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """One dictionary of workers out of every one that a host sees.

    :param sources: variable name -> dictionary of workers by name.
    :raises InvalidInput: two variables disagree about a worker, or a key is unknown.
    """
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for variable in sorted(sources):
        if not isinstance(sources[variable], Mapping):
            raise InvalidInput(f"{variable} must be a dictionary of workers by name.")
        for name, entry in sources[variable].items():
            check_name("worker", name)
            if not isinstance(entry, Mapping):
                raise InvalidInput(f"{variable}: {name} must be a dictionary, such as {{port: 50052, devices: [...]}}.")
            check_keys(f"{variable}: {name}", entry, definition.GIVEN)
            other, known = found.setdefault(name, (variable, entry))
            if known != entry:
                raise InvalidInput(
                    f"The worker {name!r} stands in {other} and in {variable} with different contents.",
                    "Give one of them another name.",
                )
    return {name: entry for name, (_variable, entry) in sorted(found.items())}


def heads(hosts: Mapping[str, Host]) -> dict[tuple[str, str], tuple[str, str]]:
    """(host, worker) -> (host, instance) that it works for.

    :raises InvalidInput: an instance names a worker that is nowhere, or two instances name the same one.
    """
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for host in sorted(hosts):
        for instance, given in sorted(hosts[host].rpc.items()):
            where = f"Instance {instance!r} on {host}"
            for item in placement.workers(where, given or ()):
                key, head = (item.host, item.worker), (host, instance)
                _check_known(where, item, hosts)
                other = found.setdefault(key, head)
                if other != head:
                    raise InvalidInput(
                        f"The worker {item.worker!r} on {item.host} is named by two instances: {other[1]!r} on "
                        f"{other[0]} and {instance!r} on {host}.",
                        "A worker serves one client; give each instance workers of its own.",
                    )
    return found


def workers_of(host: str, hosts: Mapping[str, Host], network: object) -> list[dict[str, Any]]:
    """The workers of a host for the module, each with its `client`; empty where no instance names it."""
    if not hosts[host].workers:
        return []
    known, there = heads(hosts), definition.read_network(network)
    found = []
    for name, entry in sorted(hosts[host].workers.items()):
        head = known.get((host, name))
        client = definition.read_address(head[0], hosts[head[0]].address, there) if head else ""
        found.append({**entry, "name": name, "client": client})
    return found


def filled(
    host: str,
    instances: Sequence[Mapping[str, Any]],
    hosts: Mapping[str, Host],
    network: object,
    standing: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> list[dict[str, Any]]:
    """Instances of a host with the addresses of their workers, and the builds that run there.

    :param standing: host -> worker -> `{build_id, commit}`, as the module says of those that are there.
    """
    known, there = heads(hosts), definition.read_network(network)
    definition.read_address(host, hosts[host].address, there)
    found = []
    for instance in instances:
        rpc = []
        for item in placement.workers(f"Instance {instance.get('name')!r}", instance.get("rpc") or ()):
            if known.get((item.host, item.worker)) != (host, instance.get("name")):
                raise InvalidInput(
                    f"{host} does not say in its variables that {instance.get('name')!r} names a worker."
                )
            rpc.append(_filled(item, hosts[item.host], there, standing.get(item.host, {}).get(item.worker, {})))
        found.append({**instance, "rpc": rpc} if rpc else dict(instance))
    return found


def _filled(item: placement.Worker, host: Host, there: definition.Network, stands: Mapping[str, Any]) -> dict[str, Any]:
    entry = {**host.workers[item.worker], "name": item.worker}
    worker = definition.read(entry, definition.read_address(item.host, host.address, there), there)
    return {
        "host": item.host,
        "worker": item.worker,
        "address": worker.endpoint,
        "build": str(stands.get("build_id") or ""),
        "commit": str(stands.get("commit") or ""),
    }


def _check_known(where: str, item: placement.Worker, hosts: Mapping[str, Host]) -> None:
    if item.host not in hosts:
        raise InvalidInput(
            f"{where} names a worker on {item.host!r}, which is no host of the inventory.",
            did_you_mean(item.host, hosts),
        )
    workers = hosts[item.host].workers
    if item.worker not in workers:
        listed = f"It has: {', '.join(workers)}." if workers else "It has none; list it in llama_rpc_workers."
        raise InvalidInput(f"{where} names the worker {item.worker!r}, which {item.host} does not have.", listed)
    if workers[item.worker].get("state", "started") != "started":
        raise InvalidInput(f"{where} names the worker {item.worker!r} on {item.host}, which is not to run.")
