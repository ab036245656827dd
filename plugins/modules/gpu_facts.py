#!/usr/bin/python
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_facts
short_description: Read the GPUs, the memory and the processors of a host
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Returns the GPUs of a host and what else decides about running models there, as C(ansible_facts['llama_gpu']).
  - All sizes are bytes. What a device or a host does not tell is V(null).
  - An NVIDIA GPU that is visible on the PCI bus while its driver does not answer is a failure. Such a host is never
    taken for one without GPU, unless O(expected) is V(0).
  - GPUs of AMD and Intel are detected and named in the reason; this version does not read them.
requirements:
  - psutil
  - nvidia-ml-py, where an NVIDIA GPU is visible
extends_documentation_fragment:
  - llamaops.llama_cpp.attributes.facts_module
  - llamaops.llama_cpp.attributes.action_group
options:
  root:
    description:
      - The runtime root. Where the Python that runs the module lacks a library, the module starts again in the virtual
        environment of this root.
    type: path
  expected:
    description:
      - How many GPUs the host must have, usually the site variable C(llama_gpus). Fewer are a failure.
      - V(0) states that the host serves from its CPU. A GPU whose driver does not answer is then named in the reason.
      - A GPU in MIG mode counts as one.
    type: int
"""

EXAMPLES = r"""
- name: Read the GPUs of this host, of which there must be two
  llamaops.llama_cpp.gpu_facts:
    root: /opt/llama
    expected: 2

- name: Show the free memory of each
  ansible.builtin.debug:
    msg: "{{ item.name }} ({{ item.id }}): {{ item.free | human_readable }} free"
  loop: "{{ ansible_facts['llama_gpu'].devices }}"
"""

RETURN = r"""
ansible_facts:
  description: The facts.
  returned: success
  type: dict
  contains:
    llama_gpu:
      description: GPUs and host.
      returned: success
      type: dict
      contains:
        schema:
          description: Version of this structure.
          type: int
          sample: 1
        devices:
          description: The GPUs, in the order of the driver.
          type: list
          elements: dict
          contains:
            id:
              description: The UUID, which names the device everywhere else.
              type: str
              sample: GPU-8f6a2c1e-5d0b-4d57-9b41-3c2f7a9e1d02
            vendor:
              description: The maker.
              type: str
              sample: nvidia
            backend:
              description: The backend of llama.cpp that uses it.
              type: str
              sample: cuda
            index:
              description: Its number for the driver, which may change at every boot.
              type: int
              sample: 0
            name:
              description: The product.
              type: str
              sample: NVIDIA H200
            pci:
              description: Its address on the PCI bus as the kernel writes it.
              type: str
              sample: "0000:3b:00.0"
            total:
              description: Memory in bytes; V(null) on GPUs that have none of their own.
              type: int
              sample: 150754820096
            free:
              description: Memory in bytes that nobody uses.
              type: int
              sample: 150123642880
            used:
              description: Memory in bytes that is used, including what the driver reserves.
              type: int
              sample: 631177216
            compute_capability:
              description: The CUDA compute capability.
              type: str
              sample: "9.0"
            numa:
              description: The NUMA node it is attached to.
              type: int
              sample: 0
            mig:
              description: Whether it is divided into MIG devices, which are then what can be used.
              type: bool
            mig_devices:
              description: Its MIG devices.
              type: list
              elements: dict
              sample:
                - id: MIG-41b1c9a0-7a52-5a2e-9a6c-2f0b5d1e7c11
                  name: NVIDIA H200 MIG 1g.18gb
                  total: 17045651456
                  free: 17029857280
                  used: 15794176
                  gpu_instance: 7
                  compute_instance: 0
            ecc:
              description: Whether error correction is on.
              type: bool
            persistence:
              description: Whether the driver stays loaded without a client.
              type: bool
            power_limit_watts:
              description: The power limit.
              type: float
              sample: 700.0
            temperature_celsius:
              description: The temperature of the chip.
              type: int
              sample: 41
            utilization_percent:
              description: How busy it is.
              type: dict
              sample: {gpu: 7, memory: 3}
            processes:
              description: Who uses it, C(compute) or C(graphics), with the memory in bytes.
              type: list
              elements: dict
              sample: [{pid: 4242, kind: compute, used: 1073741824}]
        host:
          description: The host itself.
          type: dict
          contains:
            name:
              description: Its name.
              type: str
              sample: gpu01
            machine:
              description: The machine type.
              type: str
              sample: x86_64
            kernel:
              description: The release of the kernel.
              type: str
              sample: 6.1.0-28-amd64
            os:
              description: The distribution, where C(family) is V(debian), V(redhat) or V(null).
              type: dict
              sample: {family: debian, id: debian, version: "12", name: Debian GNU/Linux 12 (bookworm)}
            libc:
              description: The C library.
              type: dict
              sample: {name: glibc, version: "2.36"}
            container:
              description: The kind of container this host is, V(null) when it is none.
              type: str
              sample: docker
            memory:
              description: Bytes. C(total) and C(available) stay within the C(limit) of the control group, C(installed) does not.
              type: dict
              sample: {total: 67385032704, available: 61203283968, installed: 67385032704, limit: null}
            cpu:
              description:
                - The processor, its flags, the number of logical and physical CPUs, the quota of the control group in CPUs,
                  and how many threads can run at once.
              type: dict
              sample: {model: AMD EPYC 9654, flags: [avx2, avx512f], logical: 192, physical: 96, quota: null, usable: 192}
            numa:
              description: The NUMA nodes with their CPUs and memory in bytes.
              type: list
              elements: dict
              sample: [{node: 0, cpus: [0, 1], total: 67385032704, free: 60129542144}]
        driver:
          description: The version of NVIDIA's driver.
          type: str
          sample: 580.65.06
        cuda:
          description: The newest CUDA version that the driver supports.
          type: str
          sample: "13.0"
        reason:
          description: Why there is no device, or why a GPU that is there is not among them; V(null) when all are.
          type: str
          sample: No GPU is on the PCI bus.
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter import gpu_facts
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter.module import reporting


def main() -> None:
    module = AnsibleModule(argument_spec=gpu_facts.ARGUMENTS, supports_check_mode=True)
    with reporting(module):
        module.exit_json(**gpu_facts.run(module))


if __name__ == "__main__":
    main()
