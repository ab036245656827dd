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
  - GPUs of AMD are read from the files of the kernel's driver amdgpu, GPUs of Intel with memory of their own from those
    of xe and i915. Graphics cores that only draw the desktop are named in the reason.
  - With O(root), the active build is asked for the devices that it sees. Where it sees others, RV(ansible_facts.llama_gpu.build)
    and a warning say so.
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
      - The storage of this folder and the devices that its active build sees are part of the facts.
    type: path
  scope:
    description: Whose root it is, see O(llamaops.llama_cpp.llama_runtime#module:scope).
    type: str
    choices: [auto, system, user]
    default: auto
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
          description: The GPUs, those of NVIDIA in the order of the driver, then the others by their address.
          type: list
          elements: dict
          contains:
            id:
              description:
                - The UUID, which names the device everywhere else. A GPU of AMD without one, and a GPU of Intel, is named
                  by its address, such as V(pci:0000:03:00.0).
              type: str
              sample: GPU-8f6a2c1e-5d0b-4d57-9b41-3c2f7a9e1d02
            vendor:
              description: The maker, V(nvidia), V(amd) or V(intel).
              type: str
              sample: nvidia
            backend:
              description: The backend of llama.cpp that uses it, V(cuda), V(hip) or V(vulkan).
              type: str
              sample: cuda
            index:
              description: Its number for NVIDIA's driver, which may change at every boot.
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
              description:
                - Memory in bytes. Of a GPU that shares the memory of its host, as much of that as it may take.
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
            reserved:
              description: Memory in bytes that NVIDIA's driver keeps for itself.
              type: int
              sample: 536870912
            unified:
              description:
                - Whether it shares the memory of its host. What is free is then free once, whoever takes it.
              type: bool
              sample: false
            gtt:
              description: Bytes of the memory of the host that a GPU of AMD may reach and uses.
              returned: on GPUs of AMD
              type: dict
              sample: {total: 33604997120, used: 20480000}
            compute_capability:
              description: The CUDA compute capability, or the name of AMD's chip, such as V(gfx1100).
              type: str
              sample: "9.0"
            minor:
              description: The number in the name of its device file, V(/dev/nvidia0).
              returned: on GPUs of NVIDIA
              type: int
              sample: 0
            serial:
              description: The serial number of the board.
              returned: on GPUs of NVIDIA
              type: str
              sample: "1650123456789"
            simds:
              description: SIMD units of a GPU of AMD.
              returned: on GPUs of AMD
              type: int
              sample: 192
            render:
              description: The number in the name of its device file, V(/dev/dri/renderD128).
              returned: on GPUs of AMD
              type: int
              sample: 128
            kfd_node:
              description: Its number among the compute nodes of the kernel.
              returned: on GPUs of AMD
              type: int
              sample: 1
            pcie:
              description:
                - Generation and lanes of its link, now and at most. An idle link runs at a lower generation.
              type: dict
              sample: {generation: 1, generation_max: 5, width: 16, width_max: 16}
            nvlink:
              description:
                - Its NVLinks. How many are up, their version, whether they lead to a switch, and else how many lead to
                  which address.
              returned: on GPUs of NVIDIA
              type: dict
              sample: {active: 18, version: "4.0", switch: true, peers: {}}
            numa:
              description: The NUMA node it is attached to.
              type: int
              sample: 0
            memory_numa:
              description: The NUMA node that its own memory is, on hosts that show it as one (Grace Hopper).
              returned: on GPUs of NVIDIA
              type: int
              sample: 4
            mig:
              description: Whether it is divided into MIG devices, which are then what can be used.
              type: bool
            mig_devices:
              description:
                - Its MIG devices, with fields of the same meaning, the number of their multiprocessors and of their slices.
              type: list
              elements: dict
              sample:
                - id: MIG-41b1c9a0-7a52-5a2e-9a6c-2f0b5d1e7c11
                  name: NVIDIA H200 MIG 1g.18gb
                  total: 17045651456
                  free: 17029857280
                  used: 15794176
                  reserved: 0
                  unified: false
                  gpu_instance: 7
                  compute_instance: 0
                  multiprocessors: 16
                  slices: 1
                  processes: []
                  reasons: {}
            ecc:
              description: Whether error correction is on.
              returned: on GPUs of NVIDIA
              type: bool
            remapped_rows:
              description:
                - Rows of memory that were replaced after correctable and other errors. C(pending) means that the next
                  reset replaces more, C(failure) that nothing is left to replace them with.
              returned: on GPUs of NVIDIA
              type: dict
              sample: {correctable: 0, uncorrectable: 0, pending: false, failure: false}
            display:
              description: Whether a display is driven by it.
              returned: on GPUs of NVIDIA
              type: bool
            compute_mode:
              description: Who may use it, V(default), V(exclusive_process), V(exclusive_thread) or V(prohibited).
              returned: on GPUs of NVIDIA
              type: str
              sample: default
            virtualization:
              description: V(none), V(passthrough), V(vgpu), V(host_vgpu) or V(host_vsga).
              returned: on GPUs of NVIDIA
              type: str
              sample: none
            addressing:
              description: How it reaches the memory of the host, V(none), V(hmm) or V(ats).
              returned: on GPUs of NVIDIA
              type: str
              sample: hmm
            persistence:
              description: Whether the driver stays loaded without a client.
              returned: on GPUs of NVIDIA
              type: bool
            power_limit_watts:
              description: The power limit.
              type: float
              sample: 700.0
            power_enforced_watts:
              description: The limit that holds now, the least of all.
              returned: on GPUs of NVIDIA
              type: float
              sample: 700.0
            power_range_watts:
              description: What the power limit can be set to.
              returned: on GPUs of NVIDIA
              type: dict
              sample: {min: 200.0, max: 700.0}
            temperature_celsius:
              description: The temperature of the chip.
              returned: on GPUs of NVIDIA
              type: int
              sample: 41
            utilization_percent:
              description: How busy it is.
              type: dict
              sample: {gpu: 7, memory: 3}
            processes:
              description:
                - Who uses it, C(compute) or C(graphics), with the memory in bytes, the name of the program and the service
                  it belongs to.
              type: list
              elements: dict
              sample: [{pid: 4242, kind: compute, used: 1073741824, command: llama-server, unit: llama-chat.service}]
            reasons:
              description: For fields that are V(null), or whose value is doubtful, why, by the name of the field.
              type: dict
              sample: {ecc: not supported by this GPU}
        topology:
          description:
            - Pairs of GPUs. The nearest thing on the bus that both share (V(internal), V(single) or V(multiple) switches,
              V(hostbridge), V(node), V(system)), whether one may read the memory of the other, and how many NVLinks or
              xGMI links connect them. Of AMD only linked pairs.
          type: list
          elements: dict
          sample:
            - devices: [GPU-8f6a2c1e-5d0b-4d57-9b41-3c2f7a9e1d02, GPU-1b2c3d4e-5d0b-4d57-9b41-3c2f7a9e1d03]
              ancestor: node
              p2p: true
              links: 18
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
            storage:
              description: The file system of O(root) in bytes; V(null) without O(root).
              type: dict
              sample: {path: /opt/llama, total: 1921725718528, free: 1643236737024}
        build:
          description:
            - What the active build of O(root) lists as devices, in bytes, and sentences about where that disagrees with the
              facts. V(null) without O(root) or without a build.
          type: dict
          sample:
            id: 0.5.2-1a2b3c4-cuda-0f1e2d3c
            devices:
              - {name: CUDA0, backend: cuda, description: NVIDIA H200, total: 150754820096, free: 150123642880}
            differences: []
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
