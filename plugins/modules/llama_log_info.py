#!/usr/bin/python
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: llama_log_info
short_description: Show the logs of instances, and why one does not run
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Reads the journal under systemd, and the rotated log files under supervisord.
  - Lines of C(llama-server) are JSON objects, one a line, as upstream writes them; between them stand those of the service manager.
extends_documentation_fragment:
  - llamaops.llama_cpp.root
  - llamaops.llama_cpp.attributes
  - llamaops.llama_cpp.attributes.info_module
  - llamaops.llama_cpp.attributes.action_group
options:
  manager:
    description: The service manager, as in M(llamaops.llama_cpp.llama_instance).
    type: str
    choices: [auto, systemd, supervisor]
    default: auto
  names:
    description: Only these instances. All if left out.
    type: list
    elements: str
  lines:
    description: How many lines of each log, the last ones.
    type: int
    default: 100
  since:
    description:
      - V(start) shows what came since the last start, V(ever) everything that is kept.
      - Under systemd also a time, for example V(10 min ago) or V(2026-03-01 12:00).
    type: str
    default: ever
seealso:
  - module: llamaops.llama_cpp.llama_instance_info
"""

EXAMPLES = r"""
- name: See why an instance did not come up
  llamaops.llama_cpp.llama_log_info:
    root: /opt/llama
    names: [chat]
    since: start
  register: found

- name: Show it
  ansible.builtin.debug:
    var: found.logs.chat.reason
"""

RETURN = r"""
logs:
  description: The logs by the name of the instance.
  returned: success
  type: dict
  contains:
    lines:
      description: The lines, the oldest first.
      type: list
      elements: str
    reason:
      description: Why the instance does not run, from the log of its last start; null if it runs.
      type: str
      sample: The file /srv/models/chat.gguf cannot be opened (No such file or directory).
    active:
      description: Whether the service manager calls it running.
      type: bool
    follow:
      description: The command that shows the log as it grows.
      type: str
      sample: journalctl --unit llama-chat.service --output=cat --follow
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter import llama_log as adapter
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter.module import open_tree, reporting


def main() -> None:
    module = AnsibleModule(argument_spec=adapter.ARGUMENTS, supports_check_mode=True)
    with reporting(module):
        outcome = adapter.run(module, open_tree(module))
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
