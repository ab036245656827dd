#!/usr/bin/python
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: llama_build_target
short_description: Tell which kind of build of llama.cpp a host needs, and which build tools it lacks
version_added: 0.1.0
description:
  - Hosts with the same RV(key) can share a build. The role P(llamaops.llama_cpp.llama_build#role) compiles once for them.
  - Reads the distribution, the C library, the CPU and the GPUs. Changes nothing.
author:
  - LlamaOps contributors (@llamaops)
extends_documentation_fragment:
  - llamaops.llama_cpp.attributes
  - llamaops.llama_cpp.attributes.action_group
  - llamaops.llama_cpp.attributes.info_module
  - llamaops.llama_cpp.root
options:
  backend:
    description: As for M(llamaops.llama_cpp.llama_build).
    type: str
    choices:
      - auto
      - cpu
      - cuda
      - hip
      - vulkan
    default: auto
  gpus:
    description: As for M(llamaops.llama_cpp.llama_build).
    type: int
  cuda_split:
    description: With V(union) hosts with different GPUs of one backend can share a build, with V(per_arch) they cannot.
    type: str
    choices:
      - union
      - per_arch
    default: union
  cpu:
    description: As for M(llamaops.llama_cpp.llama_build). With V(native) only hosts whose CPUs can do the same share a build.
    type: str
    choices:
      - native
      - baseline
      - portable
    default: native
  builder:
    description: Name of the host that compiles, if that is settled. It takes the place of the RV(target) in RV(key).
    type: str
seealso:
  - module: llamaops.llama_cpp.llama_build
"""

EXAMPLES = r"""
- name: Which kind of build does this host need
  llamaops.llama_cpp.llama_build_target:
    root: /opt/llama
    backend: cpu
    cpu: baseline
  register: needed
"""

RETURN = r"""
target:
  description: Machine, distribution and C library.
  returned: success
  type: str
  sample: x86_64-debian-12-glibc-2.36
cpu:
  description: The CPU level; for V(native) by name.
  returned: success
  type: str
  sample: x86-64-v4+amx_int8
backend:
  description: The backend; V(auto) is resolved.
  returned: success
  type: str
  sample: cpu
architectures:
  description: What the GPUs of this backend are compiled for.
  returned: success
  type: list
  elements: str
  sample: ["86", "90"]
key:
  description: Equal for hosts that can share a build.
  returned: success
  type: str
  sample: x86_64-debian-12-glibc-2.36 cpu baseline
missing:
  description: What is not there of V(git), V(cmake), V(ninja), V(c), V(c++), V(ccache), and V(openssl) (its headers).
  returned: success
  type: list
  elements: str
  sample: [ccache]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter import llama_build_target
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter.module import open_tree, reporting


def main() -> None:
    module = AnsibleModule(argument_spec=llama_build_target.ARGUMENTS, supports_check_mode=True)
    with reporting(module):
        module.exit_json(**llama_build_target.run(module, open_tree(module)))


if __name__ == "__main__":
    main()
