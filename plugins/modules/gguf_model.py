#!/usr/bin/python
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gguf_model
short_description: Fetch and prove GGUF models
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Brings a list of models onto a host in one call, from local files, from URLs, from the Hugging Face hub or made on
    the spot. Each becomes a model set, known by its name.
  - Nothing stands under a final name that was not proven. Files are staged beside their place, their SHA-256 is
    compared with what the hub or the task promises, their GGUF header is read and compared with their length, and only
    then are they moved. An interrupted run leaves the old files or the new ones.
  - A set that is recorded and whose files were not touched is believed, without network and without hashing.
extends_documentation_fragment:
  - llamaops.llama_cpp.bundle
  - llamaops.llama_cpp.root
  - llamaops.llama_cpp.attributes
  - llamaops.llama_cpp.attributes.action_group
options:
  models:
    description: The models.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The name of the set, 1 to 40 lower case letters, digits and dashes. Instances use it as their model.
        type: str
        required: true
      source:
        description:
          - Where the model comes from. Required unless O(models[].state=absent).
          - An absolute path is used in place and never copied or removed. Of a model in shards, any shard will do, and a
            pattern such as V(/srv/models/*Q4_K_M*.gguf) if it matches one model.
          - A URL (V(https://) or V(http://)) needs O(models[].checksum). Its query is not recorded.
          - V(owner/repo:QUANT) is a Hugging Face repository and a quantisation, for example V(Qwen/Qwen3-8B-GGUF:Q4_K_M).
            The quantisation is compared with whole words of file names, so V(Q4_K) does not mean V(Q4_K_M).
          - V(owner/repo) will do where the repository holds one model, or together with O(models[].files).
          - V(builtin:tiny) is a model of a few hundred kilobytes made on the spot. It gives every chat the same answer.
        type: str
      files:
        description: Paths of files of the model in a Hugging Face repository. Any shard of a model stands for all of them.
        type: list
        elements: str
      revision:
        description:
          - A branch, tag or full commit of a Hugging Face repository, by default its main branch.
          - It is resolved to a commit when the set is first fetched. A branch that moves later changes nothing until O(models[].state=latest).
        type: str
      checksum:
        description: SHA-256 of the model's only file, as V(sha256:<64 hex digits>).
        type: str
      mmproj:
        description:
          - The multimodal projector that belongs to the model.
          - V(auto) means the one of the repository, or beside a local model, in the nearest folder; of several precisions
            V(F16) comes first. Two different projectors are an error.
          - A path means that file of the repository, or of the host for a local model. V(none) is the default.
        type: str
      draft:
        description: The path of a draft model, in the same repository, or on the host for a local model. It is never guessed.
        type: str
      state:
        description:
          - V(present) fetches what is missing and asks nobody when nothing is. V(latest) asks where the revision is now and
            fetches the files that differ; in check mode and with diff it says what would change. With O(offline) it is
            V(present). V(absent) forgets the set and removes the files that were fetched for it
            and that no other set uses.
        type: str
        choices: [present, latest, absent]
        default: present
  token_file:
    description:
      - A file on the host that holds a token of the Hugging Face hub, for gated and private repositories.
      - Without it the environment variable E(HF_TOKEN) is used. A token stored by other tools is not.
    type: path
  endpoint:
    description: The address of a hub or of a mirror. Without it the environment variable E(HF_ENDPOINT) or the public hub is used.
    type: str
  lock:
    description:
      - Whether to return RV(lock), the models as entries of O(models) that name full commits and checksums, so that an
        inventory can have the same bytes again later.
    type: bool
    default: false
  offline:
    description: Whether to fail instead of asking the source when no store and no O(mirror) has a model.
    type: bool
    default: false
  verify:
    description: Whether to hash all files again, and to fetch those anew that differ.
    type: bool
    default: false
  lock_timeout:
    description: Seconds to wait for another run that works on the same model.
    type: int
    default: 60
  stores:
    description:
      - Folders in which models may lie, in the order in which they are searched. C(<root>/models) is the last one, if the
        list does not name it. A model is used from the first store that has all of its files with the right SHA-256, where
        every host looks for itself, once. Else it is brought to the first store that is writable.
      - A store is laid out like C(<root>/models), as C(<owner>/<repo>/<file>). The cache of another client of the hub is a
        store too, usually V(~/.cache/huggingface/hub), and with O(offline) also says what its revisions are.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: An absolute path. It may be a link.
        type: path
        required: true
      mode:
        description: Whether files may be brought there (V(rw)) or are only used (V(ro)).
        type: str
        choices: [ro, rw]
        default: ro
      shared:
        description:
          - Whether other hosts see the same folder, over NFS for example. Then nothing in it is locked, replaced or removed
            with a set, files come under names of the host's own until they are proven, and each revision has a folder of
            its own, C(<owner>/<repo>@<commit>).
        type: bool
        default: false
      require_mount:
        description: V(true) if the path must be a mount point before it is used, or the folder above it that must be one.
        type: raw
        default: false
  writer:
    description: Whether this host may bring files to shared stores. One that may not fails if they are not there.
    type: bool
    default: true
  mirror:
    description:
      - A place that is asked for the bytes of a file before their source is, a folder of the host or an address
        such as V(https://models.example.com/store), laid out like a store. No token is sent to it.
      - What it gives is proven like everything else, and what it does not have comes from the source.
    type: str
  resolved:
    description:
      - RV(resolved) of another host, or a part of it. The sets that it names are not looked up again, so that all hosts have the
        same bytes.
    type: dict
    default: {}
  relay_from:
    description:
      - A host of the inventory that has the files of O(resolved). What is missing here is brought from there through the
        controller, a few MiB at a time, before the module proves it. A run that is interrupted is gone on with.
      - The action plugin of the module does this, except in check mode.
    type: str
  missing_only:
    description: Whether only to return as RV(missing) which files of O(resolved) have to be brought, and where to.
    type: bool
    default: false
  gc:
    description:
      - Whether to remove, after all else, the C(.gguf) files in writable stores that no set has and no unit of the
        host names, and downloads that nobody went on with for a day. In check mode RV(unused) lists them.
      - Shared stores are left alone without O(in_use).
    type: bool
    default: false
  in_use:
    description: RV(in_use) of all other hosts that see the shared stores. With it O(gc) cleans these too.
    type: list
    elements: path
  job:
    description:
      - The name under which the module tells how far it is, in C(<root>/work/jobs/<job>.progress).
      - The action plugin of the module sets it, runs the module as a job of the host and shows that line every 5 seconds
        on a terminal and every 30 seconds in a log (the variable C(llama_progress_every) changes that), unless the task
        uses C(async) itself.
    type: str
requirements:
  - huggingface_hub >= 1.8, in the managed virtual environment or where the module runs, for models of the hub
notes:
  - In check mode the hub is asked which files it has, and nothing is written. On a host that has not been prepared yet
    the module says that a model would be fetched, and warns that its files are not known.
seealso:
  - module: llamaops.llama_cpp.llama_instance
"""

EXAMPLES = r"""
- name: Have a chat model from the hub, pinned to a commit
  llamaops.llama_cpp.gguf_model:
    root: /opt/llama
    models:
      - name: qwen3-8b
        source: Qwen/Qwen3-8B-GGUF:Q4_K_M
        revision: 7c41481f57cb95916b40956ab2f0b139b296d974

- name: Have a model from a server of ours, and one that lies on the host already
  llamaops.llama_cpp.gguf_model:
    root: /opt/llama
    models:
      - name: house
        source: https://models.example.com/house-1.2.gguf
        checksum: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
      - name: embed
        source: /srv/models/embedding.gguf

- name: Use a mirror and a token for a gated repository
  llamaops.llama_cpp.gguf_model:
    root: /opt/llama
    endpoint: https://hub.example.com
    token_file: /root/.hub-token
    models:
      - name: gated
        source: owner/gated-GGUF
        files: [gated-Q8_0.gguf]

- name: Look into two stores before anything is fetched, and fetch into the second one
  llamaops.llama_cpp.gguf_model:
    root: /opt/llama
    stores:
      - {path: /srv/models, shared: true, require_mount: true}
      - {path: /data/models, mode: rw}
    mirror: https://models.example.com/store
    models:
      - name: qwen3-8b
        source: Qwen/Qwen3-8B-GGUF:Q4_K_M

- name: Remove a model and its files
  llamaops.llama_cpp.gguf_model:
    root: /opt/llama
    models:
      - name: house
        state: absent
"""

RETURN = r"""
unused:
  description: The files that were removed, or in check mode would be.
  returned: if O(gc) is true
  type: list
  elements: dict
  contains:
    path:
      description: The absolute path.
      type: str
    size:
      description: Bytes.
      type: int
in_use:
  description: The real paths of all files that sets of this host have or its units name.
  returned: if O(gc) is true
  type: list
  elements: str
missing:
  description: The files that are missing, with the path C(part) that takes their bytes.
  returned: if O(missing_only) is true
  type: list
  elements: dict
  contains:
    set:
      description: The name of the set.
      type: str
    name:
      description: The file's name below a store.
      type: str
    sha256:
      description: SHA-256 in hex.
      type: str
    size:
      description: Bytes.
      type: int
    have:
      description: Bytes that are there already.
      type: int
    part:
      description: The path that takes the bytes.
      type: str
resolved:
  description: Which bytes each set is, for O(resolved) on other hosts.
  returned: if O(lock) is true
  type: dict
  sample:
    qwen3-8b:
      source: Qwen/Qwen3-8B-GGUF:Q4_K_M
      revision: 7c41481f57cb95916b40956ab2f0b139b296d974
      files:
        - name: Qwen/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf
          path: /opt/llama/models/Qwen/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf
          size: 5027783488
          sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
          role: model
usage:
  description: Bytes of every recorded set, by name.
  returned: if O(gc) is true
  type: dict
lock:
  description: The models by name, as an inventory can pin them in C(llama_models).
  returned: if O(lock) is true
  type: dict
  sample:
    qwen3-8b:
      source: Qwen/Qwen3-8B-GGUF:Q4_K_M
      revision: 7c41481f57cb95916b40956ab2f0b139b296d974
      checksum: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
models:
  description:
    - The models by name. In check mode of a model that would be fetched, only what is known without fetching it.
  returned: success
  type: dict
  contains:
    state:
      description: V(present) or V(absent).
      type: str
      returned: always
    changed:
      description: Whether this model was fetched, recorded or removed.
      type: bool
      returned: always
    path:
      description: The file to launch, of a model in shards the first one.
      type: str
      returned: when present
      sample: /opt/llama/models/Qwen/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf
    files:
      description: All files in order.
      type: list
      elements: dict
      returned: when present
      contains:
        path:
          description: The absolute path.
          type: str
        size:
          description: Bytes.
          type: int
        sha256:
          description: SHA-256 in hex.
          type: str
        role:
          description: V(model), V(mmproj) or V(draft).
          type: str
    mmproj:
      description: The path of the multimodal projector.
      type: str
      returned: when present, if the set has one
    draft:
      description: The path of the draft model, of one in shards the first.
      type: str
      returned: when present, if the set has one
    sha256:
      description: SHA-256 of the first file.
      type: str
      returned: when present
    size:
      description: Bytes of all files.
      type: int
      returned: when present
    source:
      description: Where the model came from; a URL without its query.
      type: str
      returned: when present
      sample: Qwen/Qwen3-8B-GGUF:Q4_K_M
    revision:
      description: The full commit.
      type: str
      returned: when present, for models of the hub
    architecture:
      description: What the header says it is.
      type: str
      returned: when present
      sample: qwen3
    context_length:
      description: Tokens the model was trained for.
      type: int
      returned: when present, if the header says it
    parameters:
      description: Number of weights.
      type: int
      returned: when present
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter.gguf_model import (
    ARGUMENTS,
    converge,
    housekeeping,
    result,
    to_bring,
)
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter.module import open_tree, reporting


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    with reporting(module):
        tree = open_tree(module)
        if module.params["missing_only"]:
            module.exit_json(changed=False, missing=to_bring(module, tree))
        outcomes = converge(module, tree)
        found = {**result(outcomes, module.params["lock"]), **housekeeping(module, tree)}
    found["changed"] = found["changed"] or bool(found.get("unused"))
    module.exit_json(**found)


if __name__ == "__main__":
    main()
