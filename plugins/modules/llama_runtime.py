#!/usr/bin/python
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: llama_runtime
short_description: Prepare the runtime root on a host
version_added: 0.1.0
description:
  - Creates the folders of a runtime root with their owners and permissions.
  - Installs C(libexec/llama-probe), which asks a running server for one real answer.
  - Installs C(libexec/llama-host), which tells people and programs what runs on the host, and links it into C(bin).
  - Keeps the managed virtual environment C(venv) of the root, in which the other modules find their Python libraries.
  - In the system scope the user C(llama-build) and the group C(llama-models) must exist.
    The role P(llamaops.llama_cpp.llama_runtime#role) creates them and calls this module.
author:
  - LlamaOps contributors (@llamaops)
extends_documentation_fragment:
  - llamaops.llama_cpp.attributes
  - llamaops.llama_cpp.attributes.action_group
  - llamaops.llama_cpp.bundle
  - llamaops.llama_cpp.root
options:
  manager:
    description:
      - What keeps the instances of this root alive. V(auto) is systemd where it runs, else supervisord.
    type: str
    choices:
      - auto
      - systemd
      - supervisor
    default: auto
  packages:
    description:
      - Requirements of the managed virtual environment, each as C(pip) takes them on its command line.
      - Nothing is installed while list and Python version are those of the last completed run.
      - The environment is made with the Python that runs this module, from the package index C(pip) is configured for.
      - If left out, the environment is not touched.
    type: list
    elements: str
  supervisor_packages:
    description:
      - Further requirements, added to O(packages) where supervisord keeps instances alive.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Prepare a root for the services of a host
  llamaops.llama_cpp.llama_runtime:
    root: /opt/llama
    packages:
      - psutil>=5.9,<8
      - nvidia-ml-py>=12.535,<14
      - huggingface_hub>=1.8,<3

- name: Prepare a root on a host without a network
  llamaops.llama_cpp.llama_runtime:
    root: /opt/llama
    packages: ["huggingface_hub>=1.8,<3"]
    bundle:
      path: /media/usb/llama-bundle
      sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

- name: Only the folders and the probe, for the user who logs in
  llamaops.llama_cpp.llama_runtime:
    root: ~/llama-runtime
    scope: user
"""

RETURN = r"""
root:
  description: Absolute path of the runtime root.
  returned: success
  type: str
  sample: /opt/llama
scope:
  description: The scope that was used.
  returned: success
  type: str
  sample: system
venv:
  description: Path of the managed virtual environment.
  returned: success
  type: str
  sample: /opt/llama/venv
paths:
  description: What was created or changed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample:
    - /opt/llama/libexec/llama-probe
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter import llama_runtime
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter.module import open_tree, reporting


def main() -> None:
    module = AnsibleModule(argument_spec=llama_runtime.ARGUMENTS, supports_check_mode=True)
    with reporting(module):
        module.exit_json(**llama_runtime.run(module, open_tree(module)))


if __name__ == "__main__":
    main()
