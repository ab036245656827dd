# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Heads and workers of an inventory."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import LlamaOpsError
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.worker import cluster

DOCUMENTATION = r"""
name: rpc_cluster
short_description: Tell whom the workers of a host serve, and where the workers of its instances are
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Takes the variables of all hosts of the inventory, and returns the workers of one host as
    M(llamaops.llama_cpp.llama_rpc_worker) takes them, each with the address of its head.
  - Given the instances of that host, it returns these instead, with the addresses of their workers.
  - An instance that names a worker that is not there, two instances that name one worker, and addresses outside of the
    network are errors.
positional: _input, host, network
options:
  _input:
    description: The variables of all hosts by name, V(hostvars).
    type: dict
    required: true
  host:
    description: The host that is asked for.
    type: str
    required: true
  network:
    description: The network of heads and workers.
    type: str
    required: true
  instances:
    description: The instances of the host, as P(llamaops.llama_cpp.merge_instances#filter) returns them.
    type: list
    elements: dict
  standing:
    description: What M(llamaops.llama_cpp.llama_rpc_worker) tells of the workers of each host, by host.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show the workers of this host and whom they serve
  ansible.builtin.debug:
    msg: "{{ hostvars | llamaops.llama_cpp.rpc_cluster(inventory_hostname, '10.20.0.0/24') }}"
"""

RETURN = r"""
_value:
  description: The workers, or the instances.
  type: list
  elements: dict
"""

_WORKERS = re.compile(r"llama_rpc_workers(__[a-z0-9_]+)?")
_INSTANCES = re.compile(r"llama_instances(__[a-z0-9_]+)?")


def rpc_cluster(
    hostvars: Mapping[str, Mapping[str, Any]],
    host: str,
    network: str,
    instances: Sequence[Mapping[str, Any]] | None = None,
    standing: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    try:
        hosts = {name: _said(hostvars[name]) for name in hostvars}
        if instances is None:
            return cluster.workers_of(host, hosts, network)
        return cluster.filled(host, instances, hosts, network, standing or {})
    except LlamaOpsError as exc:
        raise AnsibleFilterError(str(exc)) from exc


def _said(variables: Mapping[str, Any]) -> cluster.Host:
    """What a host's variables say; only those that matter are looked at, for each has to be templated."""
    names = list(variables)
    workers = cluster.merge({name: variables[name] for name in names if _WORKERS.fullmatch(name)})
    entries: dict[str, Any] = {}
    for name in names:
        if _INSTANCES.fullmatch(name) and isinstance(variables[name], Mapping):
            entries.update(variables[name])
    rpc = {
        name: entry["rpc"]
        for name, entry in entries.items()
        if isinstance(entry, Mapping) and entry.get("rpc") and entry.get("state") != "absent"
    }
    address = variables.get("llama_rpc_address") or variables.get("llama_address") or ""
    return cluster.Host(str(address), workers, rpc)


class FilterModule:
    """Filters of the collection that read the clusters of an inventory."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"rpc_cluster": rpc_cluster}
