#!/usr/bin/python
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: llama_rpc_worker
short_description: Lend devices of this host to a llama-server on another
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Brings a list of workers to the wanted state in one call. Each worker is one C(ggml-rpc-server) under systemd that lends
    one GPU, or the processor, to exactly one head, an instance of M(llamaops.llama_cpp.llama_instance) on another host.
  - A worker has neither password nor encryption. It listens on the address of this host in O(network), and the control
    group of its service takes packets of its head only, which is proven after each start.
  - A head that lost power leaves its worker occupied; the worker drops a client whose host is silent for 30 seconds.
  - A call that changes nothing restarts nothing.
  - Usually the role llama_rpc calls it, which derives the client of each worker from the inventory.
extends_documentation_fragment:
  - llamaops.llama_cpp.root
  - llamaops.llama_cpp.attributes
  - llamaops.llama_cpp.attributes.action_group
options:
  workers:
    description: The workers. An empty list only tells those that are there.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The name of the worker, 1 to 40 lower case letters, digits and dashes. The unit is C(llama-rpc@<name>.service).
        type: str
        required: true
      state:
        description: V(started) runs now and after a reboot, if it has a client; V(stopped) neither; V(absent) is removed with its cache.
        type: str
        choices: [started, stopped, absent]
      port:
        description: The TCP port, 1024 to 65535. Default is 50052.
        type: int
      client:
        description: The address of its head in O(network). Without one it stands still.
        type: str
      devices:
        description: The GPU that it lends, a list of one UUID (V(GPU-...)) or PCI address (C(pci:0000:03:00.0)), or V(none) for the processor, the default.
        type: raw
      threads:
        description: Threads of a worker on the processor. The default is upstream's, half of the processors.
        type: int
      cache_quota:
        description:
          - Keep the tensors of a model on disk, so that its next load does not send them again, up to so many bytes, for example V(100GiB).
          - Every five minutes those that were not used for longest are removed. Nothing is kept by default.
        type: str
      memory_max:
        description: Limit of the memory of the service, for example V(48GiB).
        type: str
      build:
        description: The build id to run, or V(active). Default is V(active).
        type: str
  address:
    description: The address of this host in O(network). Required if there are workers.
    type: str
  network:
    description: The private network of heads and workers, for example V(10.20.0.0/24). Required if there are workers.
    type: str
  purge:
    description: Whether to remove managed workers that are not listed. If V(false) they are reported as RV(orphans).
    type: bool
    default: false
  lock_timeout:
    description: Seconds to wait for another run that works on the same root.
    type: int
    default: 60
requirements:
  - systemd 249 or newer with the unified hierarchy of control groups
seealso:
  - module: llamaops.llama_cpp.llama_instance
"""

EXAMPLES = r"""
- name: Lend a GPU to the head at 10.20.0.11
  llamaops.llama_cpp.llama_rpc_worker:
    root: /opt/llama
    network: 10.20.0.0/24
    address: 10.20.0.12
    workers:
      - name: w0
        client: 10.20.0.11
        devices: ["pci:0000:03:00.0"]
        cache_quota: 100GiB

- name: Look which workers there are
  llamaops.llama_cpp.llama_rpc_worker:
    root: /opt/llama
    workers: []
"""

RETURN = r"""
workers:
  description: The workers that are listed, and the others that stand on this host, by name.
  returned: success
  type: dict
  contains:
    state:
      description: V(ready) (it runs and listens), V(silent), V(waiting), V(failed) or V(stopped).
      type: str
      sample: ready
    detail:
      description: The state in the words of the service manager.
      type: str
    enabled:
      description: Whether it starts at boot.
      type: bool
    uptime:
      description: Seconds since its process began; null when it does not run.
      type: int
    address:
      description: Where its head reaches it.
      type: str
      sample: 10.20.0.12:50052
    client:
      description: The address of its head.
      type: str
      sample: 10.20.0.11
    build_id:
      description: The build that its unit names.
      type: str
    commit:
      description: The source of that build; its head must be of the same.
      type: str
    device:
      description: The GPU that it lends; empty for the processor.
      type: str
    active:
      description: Whether it runs.
      type: bool
    pid:
      description: Its process, or 0.
      type: int
    unit:
      description: The unit file.
      type: str
    changed:
      description: Whether this worker was changed; of listed ones.
      type: bool
    actions:
      description: What was done, or would be done in check mode; of listed ones.
      type: list
      elements: str
      sample: [write, start]
    command:
      description: The command; of listed ones.
      type: list
      elements: str
orphans:
  description: Managed workers that are not listed.
  returned: success
  type: list
  elements: str
log:
  description: The end of the log of a worker that did not come up.
  returned: when a worker did not come up
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter import llama_rpc_worker as adapter
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter.module import open_tree, reporting


def main() -> None:
    module = AnsibleModule(argument_spec=adapter.ARGUMENTS, supports_check_mode=True)
    with reporting(module):
        tree = open_tree(module)
        outcome = adapter.converge(module, tree)
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
