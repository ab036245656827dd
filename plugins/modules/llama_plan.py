#!/usr/bin/python
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: llama_plan
short_description: Tell the memory that a launch of a model takes on every device, and choose its flags
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Reads the header of a model and computes what llama-server takes of every device and of the host. Nothing is launched
    and no device is touched, unless O(exact) asks the build.
  - Weights, cache and recurrent state are exact. Compute buffers follow what was measured for the architecture. What is
    not known beforehand, such as the driver's own memory, is a bound; every number says which of these it is.
  - Chooses the first rung of a ladder on which the launch fits - the fewest devices, more devices, experts on the host, a
    smaller cache type, smaller batches, a smaller context, fewer layers on devices, workers on other hosts. Rungs behind
    the second are used only where O(allow) names them.
  - The same model, options and devices always give the same answer.
requirements:
  - huggingface_hub, where O(model) or O(draft) is a reference
  - psutil, where O(devices) is V(facts)
  - nvidia-ml-py, where O(devices) is V(facts) and an NVIDIA GPU is visible
extends_documentation_fragment:
  - llamaops.llama_cpp.attributes.info_module
  - llamaops.llama_cpp.attributes.action_group
options:
  model:
    description:
      - The absolute path of a GGUF file, of a model in shards the first one.
      - Or the name of a model set that M(llamaops.llama_cpp.gguf_model) fetched; then O(root) is needed.
      - Or a reference such as V(owner/repo:Q4_K_M), or a URL. Nothing is fetched but the header, by range requests. Where
        a set of O(root) was fetched by that reference, its files are read instead.
      - Or a dictionary with C(source) (or C(ref)), C(revision), C(files), C(mmproj) and C(draft), as
        M(llamaops.llama_cpp.gguf_model) takes them and returns them as RV(llamaops.llama_cpp.gguf_model#module:lock).
    type: raw
    required: true
  revision:
    description: A branch, tag or commit of the repository that O(model) refers to.
    type: str
  token_file:
    description:
      - A file with a token for the hub, which is sent to the hub alone and never shown. The environment variable
        E(HF_TOKEN) if left out.
    type: path
  endpoint:
    description: The address of the hub or of a mirror of it. The environment variable E(HF_ENDPOINT), or the public hub.
    type: str
  root:
    description: The runtime root, for model sets and for the managed virtual environment.
    type: path
  scope:
    description: Whether the root belongs to the system or to a user.
    type: str
    choices: [auto, system, user]
    default: auto
  devices:
    description:
      - The devices in the order of C(--device), each a dictionary with C(id), C(backend) (V(cuda), V(rpc), V(hip),
        V(vulkan) or V(cpu)), C(total) and, if others use it, C(free), both in bytes, and a C(name) for people.
      - V(facts) for the GPUs of the host that runs the module, as they are now. An empty list plans for the host alone.
    type: raw
    default: facts
  options:
    description:
      - Options of the launch that decide about memory, named as the long flags of llama-server with underscores.
      - C(ctx_size), C(parallel), C(kv_unified), C(batch_size), C(ubatch_size), C(cache_type_k), C(cache_type_v),
        C(flash_attn), C(gpu_layers), C(tensor_split), C(split_mode) (V(layer) or V(none)), C(n_cpu_moe), C(cpu_moe),
        C(n_outputs_max), C(kv_offload), C(op_offload), C(swa_full), C(embeddings), C(cache_ram), C(ctx_checkpoints).
      - C(spec_type) (V(draft-mtp) and whatever else llama-server has), C(spec_draft_n_max), C(spec_draft_type_k),
        C(spec_draft_type_v), and the files C(mmproj) and C(spec_draft_model), which are those of O(mmproj) and O(draft).
      - What is left out has the default of llama-server. C(gpu_layers), C(n_cpu_moe) and C(tensor_split) that are given
        are kept; a C(tensor_split) of two numbers means two devices, and C(split_mode) V(none) one.
    type: dict
    default: {}
  mmproj:
    description:
      - The multimodal projector that is launched too - an absolute path, or a file of the repository that O(model) refers
        to, or V(auto) for the one that belongs to the model. That of the model set if left out; V(none) for none.
    type: str
  draft:
    description:
      - The draft model that is launched too - an absolute path, a file of the repository that O(model) refers to, or a
        reference of its own. That of the model set if left out; V(none) for none.
    type: str
  allow:
    description: The rungs that may be used when the launch does not fit as asked.
    type: list
    elements: str
    choices: [n_cpu_moe, cache_type, ubatch_size, ctx_size, gpu_layers, rpc]
    default: []
  ctx_floor:
    description: The context in tokens below which the rung V(ctx_size) does not go.
    type: int
    default: 4096
  exact:
    description:
      - Also ask C(llama-fit-params) of the active build in O(root), which builds the model without its data, and report
        where it disagrees. The devices must be those of the host, in its order, or RPC workers that nobody uses, with
        C(host:port) as their C(id).
      - It knows neither a unified cache nor a projector nor a draft, so it is asked about one sequence.
      - A model that is not on the host is asked about too, as a file with its header and length and nothing in it.
    type: bool
    default: false
seealso:
  - module: llamaops.llama_cpp.gpu_facts
  - module: llamaops.llama_cpp.gguf_model
  - module: llamaops.llama_cpp.llama_instance
"""

EXAMPLES = r"""
- name: What does this model take of the GPUs of this host?
  llamaops.llama_cpp.llama_plan:
    root: /opt/llama
    model: chat
    options: {ctx_size: 32768, parallel: 4}
  register: planned

- name: Would a model fit that is not fetched yet?
  llamaops.llama_cpp.llama_plan:
    model: Qwen/Qwen3-30B-A3B-GGUF:Q4_K_M
    devices: [{id: first, backend: cuda, total: "{{ 24 * 1024 ** 3 }}"}]
    options: {ctx_size: 32768, parallel: 4, mmproj: none}
    allow: [n_cpu_moe]

- name: Would it fit two GPUs that are not bought yet, with some experts on the host?
  llamaops.llama_cpp.llama_plan:
    model: /srv/models/big-00001-of-00003.gguf
    devices:
      - {id: first, backend: cuda, total: "{{ 24 * 1024 ** 3 }}"}
      - {id: second, backend: cuda, total: "{{ 24 * 1024 ** 3 }}"}
    options: {ctx_size: 65536}
    allow: [n_cpu_moe, cache_type]
    ctx_floor: 16384
  delegate_to: localhost
"""

RETURN = r"""
fits:
  description: Whether every device has room.
  returned: success
  type: bool
confidence:
  description: V(high), or V(low) where the architecture is not known and only the weights are exact.
  returned: success
  type: str
  sample: high
architecture:
  description: The architecture that the header names.
  returned: success
  type: str
  sample: qwen3moe
schema:
  description: Version of the form of this result.
  returned: success
  type: int
  sample: 1
plan:
  description: The plan.
  returned: success
  type: dict
  contains:
    devices:
      description: The devices in use.
      type: list
      elements: dict
      contains:
        id:
          description: The device.
          type: str
        name:
          description: Its name for people.
          type: str
        backend:
          description: Its backend.
          type: str
        total:
          description: Bytes it has.
          type: int
        free:
          description: Bytes that nobody else uses.
          type: int
        components:
          description:
            - What takes its memory - C(weights), C(kv_cache), C(recurrent_state), C(compute), C(mmproj), C(draft),
              C(driver_context), C(staging), C(headroom). Each has C(bytes), C(kind) (V(exact), V(model), V(bound) or
              V(learned)) and C(why).
          type: dict
        sum:
          description: Bytes of all components.
          type: int
        left:
          description: Bytes that stay free, negative where some are missing.
          type: int
    host:
      description: Memory of the host - C(components) as for devices, their C(sum), and what cannot be dropped (C(resident)).
      type: dict
    options:
      description: Every option that decides about memory, with its value; none is automatic.
      type: dict
    rung:
      description: The rung of the ladder, V(refused) where none fits.
      type: str
      sample: n_cpu_moe
    reasons:
      description: One line for every step of the choice.
      type: list
      elements: str
exact:
  description:
    - What the build says - C(devices) with C(weights), C(context) and C(compute) in bytes, and C(differences) from the
      plan, which are none when both agree.
  returned: when O(exact) is V(true)
  type: dict
next_gib_buys:
  description: What one more GiB on every device would change.
  returned: success
  type: str
table:
  description: The plan as lines for a terminal, with a bar for every device.
  returned: success
  type: list
  elements: str
svg:
  description: The same as a drawing (SVG).
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter import llama_plan
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter.module import reporting


def main() -> None:
    module = AnsibleModule(argument_spec=llama_plan.ARGUMENTS, supports_check_mode=True)
    with reporting(module):
        module.exit_json(**llama_plan.run(module))


if __name__ == "__main__":
    main()
