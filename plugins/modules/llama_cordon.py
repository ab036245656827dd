#!/usr/bin/python
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: llama_cordon
short_description: Take a host out of service, and let it serve again
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Waits until no instance works on a request, stops all of them, and keeps them from starting at boot. Who did so, when and why
    stands in the file C(.cordon) of the runtime root, which M(llamaops.llama_cpp.llama_instance) and the playbooks obey.
  - Lifting the cordon starts nothing. The next deployment does, as the inventory says; the playbook C(llamaops.llama_cpp.uncordon)
    runs one.
extends_documentation_fragment:
  - llamaops.llama_cpp.root
  - llamaops.llama_cpp.attributes
  - llamaops.llama_cpp.attributes.action_group
options:
  state:
    description: Whether the host is out of service.
    type: str
    choices: [cordoned, uncordoned]
    default: cordoned
  by:
    description: Who does this, for those who find the host so.
    type: str
    default: ''
  reason:
    description: Why. Another reason than the one that stands replaces it; an empty one does not.
    type: str
    default: ''
  drain_timeout:
    description:
      - Seconds that requests may take which are worked on; they are cut off then. An instance with a front gets no new ones meanwhile,
        they wait there.
    type: int
    default: 300
  manager:
    description: The service manager, as in M(llamaops.llama_cpp.llama_instance).
    type: str
    choices: [auto, systemd, supervisor]
    default: auto
  lock_timeout:
    description: Seconds to wait for another run that works on the same root, such as one that changes an instance.
    type: int
    default: 60
seealso:
  - module: llamaops.llama_cpp.llama_instance
"""

EXAMPLES = r"""
- name: Take this host out of service
  llamaops.llama_cpp.llama_cordon:
    root: /opt/llama
    by: ann
    reason: new disk

- name: Let it serve again with the next deployment
  llamaops.llama_cpp.llama_cordon:
    root: /opt/llama
    state: uncordoned
"""

RETURN = r"""
cordon:
  description: The cordon that stands, or null.
  returned: success
  type: dict
  contains:
    by:
      description: Who put it up.
      type: str
    reason:
      description: Why.
      type: str
    since:
      description: When, in UTC.
      type: str
    text:
      description: All of it as one line.
      type: str
      sample: "by ann since 2026-01-31T12:00:00Z: new disk"
cut:
  description: How many requests took longer than O(drain_timeout) and were cut off.
  returned: success
  type: int
stopped:
  description: The instances that were stopped or kept from starting.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter import llama_cordon as adapter
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter.module import open_tree, reporting


def main() -> None:
    module = AnsibleModule(argument_spec=adapter.ARGUMENTS, supports_check_mode=True)
    with reporting(module):
        tree = open_tree(module)
        outcome = adapter.run(module, tree)
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
