#!/usr/bin/python
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: llama_bundle
short_description: Write a folder that brings models and packages to hosts without a network
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Writes model sets of this host, the Python packages of the managed environment and any further files into a folder,
    with a description C(bundle.json) that has the SHA-256 of each.
  - The folder is copied to a host by any means. There O(llamaops.llama_cpp.gguf_model#module:bundle) and
    O(llamaops.llama_cpp.llama_runtime#module:bundle) use it, if the inventory has RV(sha256).
  - An interrupted run is completed by the next one. The description is written last.
extends_documentation_fragment:
  - llamaops.llama_cpp.root
  - llamaops.llama_cpp.attributes
  - llamaops.llama_cpp.attributes.action_group
options:
  path:
    description: The folder of the bundle. Files of an earlier bundle there that are no longer wanted are removed.
    type: path
    required: true
  models:
    description: Names of model sets of this host. Local files that are used in place cannot be among them.
    type: list
    elements: str
    default: []
  packages:
    description:
      - Requirements of the managed virtual environment. They and all they need are fetched as wheels from the package
        index that C(pip) is configured for, and kept while this list and O(python_versions) stay as they are.
    type: list
    elements: str
    default: []
  python_versions:
    description: Versions of Python that the hosts have, for example V(3.11). Without it, that of this host.
    type: list
    elements: str
    default: []
  builds:
    description:
      - Ids of builds of this host; V(active) is the active one. They are packed into C(artifacts/<build id>.tar.gz) of the bundle, where
        M(llamaops.llama_cpp.llama_build) finds them.
    type: list
    elements: str
    default: []
  artifacts:
    description: Paths of further files of this host, such as a source distribution. They lie in C(artifacts/) of the bundle.
    type: list
    elements: path
    default: []
"""

EXAMPLES = r"""
- name: Write a bundle for hosts with Python 3.11 and 3.13
  llamaops.llama_cpp.llama_bundle:
    root: /opt/llama
    path: /media/usb/llama-bundle
    models: [qwen3-8b]
    packages: ["huggingface_hub>=1.8,<3", "psutil>=5.9,<8"]
    python_versions: ["3.11", "3.13"]
    builds: [active]
  register: written

- name: Use it on a host without a network
  llamaops.llama_cpp.gguf_model:
    root: /opt/llama
    bundle: {path: /media/usb/llama-bundle, sha256: "{{ written.sha256 }}"}
    models:
      - name: qwen3-8b
        source: Qwen/Qwen3-8B-GGUF:Q4_K_M
"""

RETURN = r"""
path:
  description: The folder.
  returned: success
  type: str
sha256:
  description: SHA-256 of C(bundle.json), for the inventory. Empty in check mode if the bundle would change.
  returned: success
  type: str
size:
  description: Bytes of all files.
  returned: success
  type: int
files:
  description: The files below the folder.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter import llama_bundle
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter.module import open_tree, reporting


def main() -> None:
    module = AnsibleModule(argument_spec=llama_bundle.ARGUMENTS, supports_check_mode=True)
    with reporting(module):
        module.exit_json(**llama_bundle.run(module, open_tree(module)))


if __name__ == "__main__":
    main()
