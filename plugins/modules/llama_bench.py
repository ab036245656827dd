#!/usr/bin/python
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: llama_bench
short_description: Measure a model with llama-bench
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Runs C(llama-bench) of a build on a model and returns what it measured, in tokens per second.
  - Every result is stored as one line in C(benchmarks/results.jsonl) of the runtime root. A stored result of the same
    build, model content, devices and tests is returned without measuring again.
  - C(llama-bench) runs without the rights of root, in an empty environment. The lock of the root is held meanwhile.
  - Average and deviation are reckoned from the single samples, since the deviation that C(llama-bench) prints may be
    no number.
extends_documentation_fragment:
  - llamaops.llama_cpp.root
  - llamaops.llama_cpp.attributes
  - llamaops.llama_cpp.attributes.action_group
attributes:
  diff_mode:
    support: none
  idempotent:
    support: partial
    details:
      - Not with O(force=true), nor once a result is older than O(max_age).
options:
  model:
    description: The name of a model set of M(llamaops.llama_cpp.gguf_model), or the absolute path of a GGUF file.
    type: str
    required: true
  build:
    description: The build id to measure, or V(active).
    type: str
    default: active
  devices:
    description:
      - The devices to measure on, each by its id (C(GPU-...), C(MIG-...)) or address (C(pci:0000:03:00.0)), or V(cpu)
        alone.
      - Without any it is all devices that the build drives; for a build without a GPU backend that is the CPU.
      - Refused while other processes hold one of them, see O(allow_busy).
    type: list
    elements: str
    default: []
  tests:
    description: What is measured. Every combination of prompt or generation with a depth is a row of the result.
    type: dict
    suboptions:
      n_prompt:
        description: Lengths of prompts to process, in tokens. V(0) or an empty list measures none.
        type: list
        elements: int
        default: [512]
      n_gen:
        description: Numbers of tokens to generate. V(0) or an empty list measures none.
        type: list
        elements: int
        default: [128]
      n_depth:
        description: Numbers of tokens that are in the context before.
        type: list
        elements: int
        default: [0]
      repetitions:
        description: How often each test is repeated.
        type: int
        default: 5
      threads:
        description: Threads to use. By default C(llama-bench) takes the number of physical cores.
        type: int
      batch_size:
        description: The logical batch size in tokens.
        type: int
      ubatch_size:
        description: The physical batch size in tokens.
        type: int
      gpu_layers:
        description: Layers that lie on GPUs, the output counted as one. By default all.
        type: int
      n_cpu_moe:
        description: Layers, from the first, whose experts stay in the memory of the host.
        type: int
      cache_type_k:
        description: Data type of the K cache.
        type: str
        choices: [f32, f16, bf16, q8_0, q4_0, q4_1, iq4_nl, q5_0, q5_1]
      cache_type_v:
        description: Data type of the V cache. A quantised one needs flash attention.
        type: str
        choices: [f32, f16, bf16, q8_0, q4_0, q4_1, iq4_nl, q5_0, q5_1]
      flash_attn:
        description: Whether to use flash attention.
        type: str
        choices: ["on", "off", auto]
  force:
    description: Measure even if there is a stored result.
    type: bool
    default: false
  max_age:
    description: How old a stored result may be, in seconds. By default any age will do.
    type: int
  allow_busy:
    description:
      - Measure while other C(llama.cpp) programs hold the device, managed or not. By default this is refused.
      - Both suffer, and the figures mean little.
    type: bool
    default: false
  timeout:
    description: Seconds that C(llama-bench) may take in all.
    type: int
    default: 3600
"""

EXAMPLES = r"""
- name: Measure the model chat on the active build
  llamaops.llama_cpp.llama_bench:
    root: /opt/llama
    model: chat

- name: See how a long context slows it down, at most once a week
  llamaops.llama_cpp.llama_bench:
    root: /opt/llama
    model: chat
    tests:
      n_prompt: [512]
      n_gen: [64]
      n_depth: [0, 8192, 32768]
    max_age: 604800
  register: bench

- name: Measure one GPU by its id, with the experts of eight layers in the memory of the host
  llamaops.llama_cpp.llama_bench:
    root: /opt/llama
    model: moe
    devices: [GPU-5b1c8f6e-0d1a-4c55-9a43-2f3f6c1d7e90]
    tests:
      n_cpu_moe: 8

- name: Show tokens per second
  ansible.builtin.debug:
    msg: "{{ item.test }}: {{ item.avg_ts | round(1) }}"
  loop: "{{ bench.rows }}"
"""

RETURN = r"""
rows:
  description:
    - One row a test. Besides what is listed here a row has all that C(llama-bench) says of the run, such as C(cpu_info).
    - Empty when nothing was measured (check mode).
  returned: success
  type: list
  elements: dict
  contains:
    test:
      description: The test as C(llama-bench) names it, C(pp) for processing a prompt, C(tg) for generating.
      type: str
      sample: tg128 @ d4096
    n_prompt:
      description: Tokens of the prompt.
      type: int
      sample: 0
    n_gen:
      description: Tokens generated.
      type: int
      sample: 128
    n_depth:
      description: Tokens in the context before.
      type: int
      sample: 4096
    avg_ts:
      description: Tokens per second, the mean of C(samples_ts).
      type: float
      sample: 61.2
    stddev_ts:
      description: Its standard deviation.
      type: float
      sample: 0.4
    avg_ns:
      description: Nanoseconds a repetition, the mean of C(samples_ns).
      type: float
      sample: 2091503267.4
    samples_ns:
      description: Nanoseconds of each repetition.
      type: list
      elements: int
    samples_ts:
      description: Tokens per second of each repetition.
      type: list
      elements: float
    backends:
      description: The backends that were used.
      type: str
      sample: CPU
    n_threads:
      description: The threads that were used.
      type: int
      sample: 16
time:
  description: When it was measured (UTC); V(null) when it was not.
  returned: when build and model are on the host
  type: str
  sample: "2026-11-23T02:05:27Z"
build_id:
  description: The build.
  returned: when build and model are on the host
  type: str
  sample: 0.5.2-1a2b3c4-cpu-0f1e2d3c
model:
  description: The model with its path, its files, and its SHA-256. For several files that is the digest of the list of theirs.
  returned: when build and model are on the host
  type: dict
  sample: {name: chat, path: /opt/llama/models/org/repo/m.gguf, sha256: 8d5e07b1, files: []}
devices:
  description: What it was measured on.
  returned: when build and model are on the host
  type: list
  elements: str
  sample: [cpu]
parameters:
  description: The tests with all defaults; V(null) was left to C(llama-bench).
  returned: when build and model are on the host
  type: dict
  sample: {n_prompt: [512], n_gen: [128], n_depth: [0], repetitions: 5, threads: null}
command:
  description: The command, without what takes the rights of root from it.
  returned: when build and model are on the host
  type: list
  elements: str
command_line:
  description: The same as one line for a shell.
  returned: when build and model are on the host
  type: str
  sample: /opt/llama/builds/0.5.2-1a2b3c4-cpu-0f1e2d3c/bin/llama-bench --output json --model /opt/llama/models/org/repo/m.gguf
key:
  description: Equal for results of the same build, model content, devices and tests.
  returned: when build and model are on the host
  type: str
file:
  description: Where the results are stored.
  returned: when build and model are on the host
  type: str
  sample: /opt/llama/benchmarks/results.jsonl
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter import llama_bench
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter.module import open_tree, reporting


def main() -> None:
    module = AnsibleModule(argument_spec=llama_bench.ARGUMENTS, supports_check_mode=True)
    with reporting(module):
        module.exit_json(**llama_bench.run(module, open_tree(module)))


if __name__ == "__main__":
    main()
