#!/usr/bin/python
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: llama_support
short_description: Gather what is needed to understand a host into one archive, without its secrets
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Writes units, manifests, model locks, plans, the ends of logs, messages of GPU drivers and figures of the host into a C(tar.gz)
    that only its owner can read.
  - Keys, certificates and files with tokens are not in it. The values of all keys of the root, and everything that looks like a
    token, a password or a private key, is masked wherever it stands. Prompts are in no log of C(llama-server) unless it was told to;
    look through the archive before you pass it on.
  - The playbook C(llamaops.llama_cpp.support) fetches one of each host.
extends_documentation_fragment:
  - llamaops.llama_cpp.root
  - llamaops.llama_cpp.attributes
  - llamaops.llama_cpp.attributes.action_group
attributes:
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Every run gathers anew.
options:
  path:
    description: Where the archive is written.
    type: path
    required: true
  lines:
    description: How many lines of each log, the last ones.
    type: int
    default: 1000
  manager:
    description: The service manager, as in M(llamaops.llama_cpp.llama_instance).
    type: str
    choices: [auto, systemd, supervisor]
    default: auto
seealso:
  - module: llamaops.llama_cpp.llama_log_info
"""

EXAMPLES = r"""
- name: Gather what a maintainer may ask for
  llamaops.llama_cpp.llama_support:
    root: /opt/llama
    path: /root/llama-support.tar.gz
"""

RETURN = r"""
path:
  description: The archive.
  returned: success
  type: str
files:
  description: The size of each text in it, by name.
  returned: success
  type: dict
  sample: {units/llama-chat.service: 4096}
redacted:
  description: How many secrets were masked.
  returned: success
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter import llama_support as adapter
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter.module import open_tree, reporting


def main() -> None:
    module = AnsibleModule(argument_spec=adapter.ARGUMENTS, supports_check_mode=True)
    with reporting(module):
        tree = open_tree(module)
        outcome = adapter.run(module, tree)
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
