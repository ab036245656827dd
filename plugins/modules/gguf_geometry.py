#!/usr/bin/python
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gguf_geometry
short_description: Read of models what their memory depends on
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Reads the headers of models and returns of each, in a few kilobytes, the shapes of its tensors and the numbers of its
    architecture. The filter P(llamaops.llama_cpp.fleet_placement#filter) plans with them on another host.
  - A model is looked for where it was fetched to, then where its source says. Of a remote file only the header is fetched.
  - A header is refused if it is damaged, cut off or hostile.
extends_documentation_fragment:
  - llamaops.llama_cpp.attributes
  - llamaops.llama_cpp.attributes.info_module
  - llamaops.llama_cpp.attributes.action_group
options:
  models:
    description:
      - The models, as M(llamaops.llama_cpp.gguf_model) takes them and P(llamaops.llama_cpp.model_sets#filter) lists them.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name of the set.
        type: str
        required: true
      source:
        description: Where the model comes from.
        type: str
      files:
        description: Paths of files of the model in a Hugging Face repository.
        type: list
        elements: str
      revision:
        description: A branch, tag or full commit of a Hugging Face repository.
        type: str
      checksum:
        description: SHA-256 of the model's only file.
        type: str
      mmproj:
        description: The multimodal projector that belongs to the model.
        type: str
      draft:
        description: The path of a draft model.
        type: str
      state:
        description: Models that are to be absent are left out.
        type: str
        choices: [present, latest, absent]
        default: present
  paths:
    description: Paths of further models. Of a model in shards, any shard will do.
    type: list
    elements: path
    default: []
  remote:
    description: Whether to ask the hub and web servers for models that are not on the host.
    type: bool
    default: true
  root:
    description:
      - The runtime root whose fetched models count, and whose managed virtual environment has the client of the hub if the
        module's Python has not. It need not exist.
    type: path
  scope:
    description: Whose root it is, see O(llamaops.llama_cpp.llama_runtime#module:scope).
    type: str
    choices: [auto, system, user]
    default: auto
  token_file:
    description: A file on the host that holds a token of the Hugging Face hub. Without it E(HF_TOKEN) is used.
    type: path
  endpoint:
    description: The address of a hub or of a mirror. Without it E(HF_ENDPOINT) or the public hub is used.
    type: str
requirements:
  - huggingface_hub >= 1.8, in the managed virtual environment or where the module runs, for references to the hub
seealso:
  - module: llamaops.llama_cpp.gguf_info
  - module: llamaops.llama_cpp.llama_plan
  - plugin: llamaops.llama_cpp.fleet_placement
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Read two models on the controller
  llamaops.llama_cpp.gguf_geometry:
    models:
      - {name: chat, source: "Qwen/Qwen3-8B-GGUF:Q4_K_M"}
    paths: [/srv/models/embedding.gguf]
  delegate_to: localhost
  register: read
"""

RETURN = r"""
geometries:
  description:
    - What was found, by the name of the model or its path. C(header) and C(draft) are of the model and its draft,
      C(mmproj) and C(size) the bytes of its projector and of all files.
  returned: success
  type: dict
  sample:
    chat:
      header:
        metadata: {general.architecture: qwen3, qwen3.block_count: 36}
        tensors: [["blk.{}.attn_k.weight", [4096, 1024], 12, [[0, 35]]]]
      draft: null
      mmproj: 0
      size: 5027783872
missing:
  description: The names and paths of the models that were not found.
  returned: success
  type: list
  elements: str
  sample: [/srv/models/embedding.gguf]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter import gguf_geometry
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter.module import reporting


def main() -> None:
    module = AnsibleModule(argument_spec=gguf_geometry.ARGUMENTS, supports_check_mode=True)
    with reporting(module):
        module.exit_json(**gguf_geometry.look(module))


if __name__ == "__main__":
    main()
