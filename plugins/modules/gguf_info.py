#!/usr/bin/python
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gguf_info
short_description: Show what a GGUF model is, without fetching it
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Reads the header of a GGUF file, or of all shards of a model, on the host, on a web server or in a repository of the
    Hugging Face hub. Of a remote file only the header is fetched, by a few range requests of 1 to 8 MiB.
  - A header is refused if it is damaged, cut off or hostile, or if it does not fit the length of its file.
  - Texts that stand in a header were written by strangers. Do not use them as paths, templates or commands.
extends_documentation_fragment:
  - llamaops.llama_cpp.attributes
  - llamaops.llama_cpp.attributes.info_module
  - llamaops.llama_cpp.attributes.action_group
options:
  source:
    description:
      - An absolute path, a URL, or a reference V(owner/repo:QUANT) or V(owner/repo), as in
        O(llamaops.llama_cpp.gguf_model#module:models[].source). A URL needs no checksum here.
      - Of a model in shards all are read, except of a URL, which is one file.
    type: str
    required: true
  files:
    description:
      - Paths of files in a Hugging Face repository. One path may also name a projector or a draft.
    type: list
    elements: str
    default: []
  revision:
    description: A branch, tag or full commit of a Hugging Face repository, by default its main branch.
    type: str
  root:
    description: The runtime root whose managed virtual environment has the client of the hub, if the module's Python has not.
    type: path
  token_file:
    description:
      - A file on the host that holds a token of the Hugging Face hub. Without it E(HF_TOKEN) is used.
    type: path
  endpoint:
    description: The address of a hub or of a mirror. Without it E(HF_ENDPOINT) or the public hub is used.
    type: str
requirements:
  - huggingface_hub >= 1.8, in the managed virtual environment or where the module runs, for references to the hub
seealso:
  - module: llamaops.llama_cpp.gguf_model
"""

EXAMPLES = r"""
- name: Look at a model of the hub before fetching it
  llamaops.llama_cpp.gguf_info:
    root: /opt/llama
    source: Qwen/Qwen3-8B-GGUF:Q4_K_M
  register: model

- name: Show what it is
  ansible.builtin.debug:
    msg: "{{ model.architecture }}, {{ model.parameters }} weights, {{ model.size | human_readable }}"

- name: Look at a file
  llamaops.llama_cpp.gguf_info:
    source: /srv/models/embedding.gguf
"""

RETURN = r"""
architecture:
  description: The architecture that the header names.
  returned: success
  type: str
  sample: qwen3
type:
  description: What kind of file the header says it is, for example V(model), V(mmproj), V(adapter) or V(imatrix).
  returned: if the header says it
  type: str
name:
  description: The name in the header, at most 200 characters.
  returned: if the header has one
  type: str
parameters:
  description: Number of weights.
  returned: success
  type: int
context_length:
  description: Tokens the model was trained for.
  returned: if the header says it
  type: int
layers:
  description: Number of blocks.
  returned: if the header says it
  type: int
embedding_length:
  description: Length of the vector of a token.
  returned: if the header says it
  type: int
heads:
  description: Number of attention heads; a list with one number a layer where layers differ.
  returned: if the header says it
  type: raw
heads_kv:
  description: Number of heads of keys and values, as RV(heads).
  returned: if the header says it
  type: raw
experts:
  description: Number of experts of a layer.
  returned: if the model has experts
  type: int
experts_used:
  description: Number of experts that work on a token.
  returned: if the model has experts
  type: int
vocabulary:
  description: Number of tokens.
  returned: if the header says it
  type: int
chat_template:
  description: Whether the header holds a chat template.
  returned: success
  type: bool
quantisation:
  description: Number of tensors, of values and of bytes by tensor type, the type with most bytes first.
  returned: success
  type: dict
  sample: {"Q4_K": {"tensors": 217, "values": 6425673728, "bytes": 3614441472}}
size:
  description: Bytes of all files.
  returned: success
  type: int
files:
  description: The files in order.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The path on the host or in the repository, or the URL without its query.
      type: str
    size:
      description: Bytes.
      type: int
    sha256:
      description: SHA-256 in hex, as the hub gives it. Of other files it is not computed.
      type: str
shards:
  description: How many shards the header says the model has.
  returned: success
  type: int
complete:
  description: Whether all shards were found and belong together.
  returned: success
  type: bool
problem:
  description: What is missing.
  returned: if RV(complete) is false
  type: str
revision:
  description: The full commit.
  returned: for references to the hub
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter.gguf_info import ARGUMENTS, look
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter.module import reporting


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    with reporting(module):
        found = look(module)
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
