# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet as one view."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.fleet import show, view

DOCUMENTATION = r"""
name: fleet_view
short_description: Compare what all hosts run with what the inventory wants
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Takes what M(llamaops.llama_cpp.llama_instance_info) said of every host, and the instances that the host shall have,
    and returns one row an instance, with the reasons why it is not proven.
  - A host that could not be reached or looked at is a row too. The playbook C(llamaops.llama_cpp.status) gathers the input.
options:
  _input:
    description:
      - By host a dictionary with C(found) (the registered result, also of a host that was unreachable), C(sources)
        (dictionaries of instances by variable), C(defaults), C(models), C(address) (what C(bind=private) means),
        C(reached) (under which address others reach the host) and C(workers) (as P(llamaops.llama_cpp.rpc_cluster#filter) returns them).
    type: dict
    required: true
seealso:
  - plugin: llamaops.llama_cpp.fleet_exports
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show a fleet of one host that was not reached
  ansible.builtin.debug:
    msg: "{{ ({'alpha': {'found': {'unreachable': true, 'msg': 'no route'}}} | llamaops.llama_cpp.fleet_view).lines }}"
"""

RETURN = r"""
_value:
  description:
    - C(rows) with C(host), C(instance), C(state), C(residency), C(build_id), C(model), C(memory), C(tokens_per_second),
      C(endpoint), C(uptime), C(wanted), C(cordoned) and C(reasons); C(lines), the table; C(reasons), what is not proven, one
      line each; C(remarks), such as which hosts are cordoned.
  type: dict
"""


def fleet_view(hosts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    rows = view.rows(hosts)
    return {"rows": rows, "lines": show.table(rows), "reasons": show.reasons(rows), "remarks": show.remarks(rows)}


class FilterModule:
    """Filters of the collection that look at all hosts."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"fleet_view": fleet_view}
