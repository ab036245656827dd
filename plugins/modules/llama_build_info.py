#!/usr/bin/python
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: llama_build_info
short_description: Show the builds of llama.cpp on a host
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Lists the builds of a runtime root from their manifests, which one is active, who needs each, and the disk that they take.
  - Changes nothing and runs nothing of a build.
extends_documentation_fragment:
  - llamaops.llama_cpp.root
  - llamaops.llama_cpp.attributes
  - llamaops.llama_cpp.attributes.info_module
  - llamaops.llama_cpp.attributes.action_group
seealso:
  - module: llamaops.llama_cpp.llama_build
"""

EXAMPLES = r"""
- name: Look at the builds
  llamaops.llama_cpp.llama_build_info:
    root: /opt/llama
  register: found

- name: Say which units still run from another build than the active one
  ansible.builtin.debug:
    msg: "{{ found.builds | rejectattr('active') | map(attribute='used_by') | flatten }}"
"""

RETURN = r"""
active:
  description: Id of the active build, or none.
  returned: success
  type: str
  sample: 0.5.0-a832db0-cpu-0a1b2c3d
previous:
  description: Id of the build that was active before, or none.
  returned: success
  type: str
builds:
  description: All complete builds, the newest first.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The build id.
      type: str
      sample: 0.5.0-a832db0-cpu-0a1b2c3d
    path:
      description: Its folder.
      type: str
    active:
      description: Whether it is the active one.
      type: bool
    previous:
      description: Whether it was the active one before.
      type: bool
    version:
      description: Version of llama.cpp.
      type: str
    commit:
      description: The full commit, or C(sha256:) and the hash of the archive that it was made of.
      type: str
    created:
      description: When it was built.
      type: str
    backend:
      description: V(cpu), V(cuda), V(hip) or V(vulkan).
      type: str
    cpu:
      description: The CPU level.
      type: str
    target:
      description: What it runs on.
      type: str
      sample: x86_64-debian-12-glibc-2.36
    cuda:
      description: Version of the CUDA toolkit, or none.
      type: str
    architectures:
      description: The GPUs that it was compiled for.
      type: list
      elements: str
    patches:
      description: The patches of known issues in it.
      type: list
      elements: str
    bundled:
      description: Libraries of others that it brings along.
      type: list
      elements: str
    source:
      description: Where its source tree came from.
      type: dict
    smoke:
      description: What its proof found.
      type: dict
    tools:
      description: The names of its programs.
      type: list
      elements: str
    capabilities:
      description:
        - A summary of what its C(llama-server) accepts, C(version), the number of C(options), the C(speculative) kinds, and whether it can use C(rpc) workers.
        - None if the document is missing or damaged.
      type: dict
    whole:
      description: Whether every file is there in its full size.
      type: bool
    size:
      description: Bytes that it takes on the disk.
      type: int
    used_by:
      description: Unit files, instances and processes that need it.
      type: list
      elements: str
      sample: [/etc/systemd/system/llama-chat.service, process 4242]
disk:
  description: Bytes that C(builds), C(work) and C(cache) take, and bytes that the file system has C(free) (none if there is no root yet).
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter import llama_build_info
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter.module import open_tree, reporting


def main() -> None:
    module = AnsibleModule(argument_spec=llama_build_info.ARGUMENTS, supports_check_mode=True)
    with reporting(module):
        module.exit_json(**llama_build_info.run(open_tree(module)))


if __name__ == "__main__":
    main()
