#!/usr/bin/python
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: llama_instance_info
short_description: Show the managed llama-server instances of a host, and every llama.cpp process
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Reads the units of the collection, what the service manager says of them, the health of each server, and where its memory
    lies against its plan.
  - Finds every process of llama.cpp, by its executable, and says whose it is; for servers that are not managed, with the entry of an
    inventory that would give the same server.
  - Changes nothing and asks no server to work.
extends_documentation_fragment:
  - llamaops.llama_cpp.root
  - llamaops.llama_cpp.attributes
  - llamaops.llama_cpp.attributes.info_module
  - llamaops.llama_cpp.attributes.action_group
options:
  manager:
    description: The service manager, as in M(llamaops.llama_cpp.llama_instance).
    type: str
    choices: [auto, systemd, supervisor]
    default: auto
  names:
    description: Only these instances. All if left out.
    type: list
    elements: str
  parse:
    description:
      - A command of C(llama-server) as somebody runs it now, or a systemd unit with one, to be turned into the entry of an inventory.
        All spellings of flags, C(LLAMA_ARG_) variables, quotes and line continuations are understood. Nothing is run.
      - Needs an active build in O(root), whose flags it is read with. API keys are named in the result and never shown.
    type: str
seealso:
  - module: llamaops.llama_cpp.llama_instance
"""

EXAMPLES = r"""
- name: Look at all instances
  llamaops.llama_cpp.llama_instance_info:
    root: /opt/llama
  register: found

- name: Insist that all are ready and lie where they were planned
  ansible.builtin.assert:
    that:
      - found.instances.values() | rejectattr('health', 'equalto', 'ready') | length == 0
      - found.instances.values() | selectattr('residency', 'equalto', 'mismatch') | length == 0

- name: Insist that no server runs unmanaged
  ansible.builtin.assert:
    that: found.processes | rejectattr('belongs', 'in', ['instance', 'adopted']) | length == 0

- name: Understand a command that somebody has written down
  llamaops.llama_cpp.llama_instance_info:
    root: /opt/llama
    parse: LLAMA_ARG_CTX_SIZE=32768 llama-server -m /models/qwen3-8b.gguf -ngl 99 -fa on --port 8081
  register: pasted

- name: Show what to write into llama_instances
  ansible.builtin.debug:
    msg: "{{ pasted.parsed.yaml }}"
"""

RETURN = r"""
parsed:
  description: What the command of O(parse) means.
  returned: when O(parse) is given
  type: dict
  contains:
    name:
      description: A name for the instance, made from its alias or its model.
      type: str
    definition:
      description: The entry for C(llama_instances).
      type: dict
    yaml:
      description: The same as text to paste into an inventory.
      type: str
      sample: "qwen3-8b: {model: /models/qwen3-8b.gguf, port: 8080}"
    notes:
      description: What was left out, and what has to be added.
      type: list
      elements: str
instances:
  description: The managed instances, by name.
  returned: success
  type: dict
  contains:
    kind:
      description: The kind of the instance.
      type: str
      sample: server
    state:
      description:
        - V(ready), V(loading), V(silent) (it runs and does not answer), V(waiting) (for its next start), V(failed) (the service
          manager gave up), V(stopped), or V(device_lost) (a GPU that it needs is gone; it waits for it).
      type: str
      sample: ready
    active:
      description: Whether the service manager calls it running.
      type: bool
    enabled:
      description: Whether it starts at boot.
      type: bool
    adopted:
      description: Whether its process was started by somebody else and taken over; the next restart makes it an ordinary unit.
      type: bool
    pid:
      description: The main process, 0 if there is none.
      type: int
    uptime:
      description: Seconds since its process began; null when it does not run.
      type: int
    residency:
      description:
        - Whether its buffers lie where its plan put them, V(verified), V(mismatch) or V(unknown); as proven at its start, or read
          from its log when it was started since.
      type: str
      sample: verified
    residency_reasons:
      description: What differs from the plan, one sentence each.
      type: list
      elements: str
    slots:
      description: How many requests it answers at a time, as it was planned; null where that is not planned.
      type: int
      sample: 4
    share:
      description: Where the model and its cache lie by the plan.
      type: str
      sample: 25%/75% CPU/GPU
    memory:
      description: Bytes on all devices and the host, planned and taken; null where unknown.
      type: dict
      sample: {planned: 6577776, actual: 41943040}
      contains:
        planned:
          description: What its plan counts.
          type: int
        actual:
          description: What the drivers and the kernel count for its process, or its buffers where a driver does not tell.
          type: int
    devices:
      description: The same by device, the host last.
      type: list
      elements: dict
      contains:
        id:
          description: The device, or V(host).
          type: str
        name:
          description: What it is called.
          type: str
        planned:
          description: Bytes.
          type: int
        actual:
          description: Bytes; null where unknown.
          type: int
    models:
      description:
        - Of a router, each model with its own plan, by name.
        - C(loaded), C(residency) and C(residency_reasons) where it is loaded, C(share), and C(memory) with C(planned) and C(actual).
      type: dict
    tokens_per_second:
      description: How fast it generated when it was last asked, by its watchdog or by the proof of its start; null where unknown.
      type: float
      sample: 41.7
    detail:
      description: The state in the words of the service manager, or which GPU is lost and why.
      type: str
      sample: active/running (success)
    health:
      description: V(ready), V(loading) or V(unreachable).
      type: str
      sample: ready
    url:
      description: Where the host itself reaches the instance.
      type: str
      sample: http://127.0.0.1:8080
    endpoint:
      description: Where clients reach it.
      type: str
      sample: http://10.0.0.5:8080
    build_id:
      description: The build that its unit names.
      type: str
    model:
      description: The model set or file that its unit names.
      type: str
    unit:
      description: The unit file.
      type: str
    command_line:
      description: The command as one line for a shell.
      type: str
without_process:
  description: Instances that start at boot and have no process now.
  returned: success, without O(parse)
  type: list
  elements: str
processes:
  description: Every process of llama.cpp, by ascending id. Arguments are not shown, for they may hold secrets.
  returned: success, without O(parse)
  type: list
  elements: dict
  contains:
    pid:
      description: The process.
      type: int
    tool:
      description: The program.
      type: str
      sample: llama-server
    exe:
      description: The path of the program, also where it was deleted or replaced since.
      type: str
    user:
      description: Its effective user.
      type: str
    belongs:
      description:
        - V(instance) (a managed unit), V(adopted) (an instance that somebody else started), V(external) (another service or a
          container has it) or V(foreign).
      type: str
    instance:
      description: The instance, where it is one.
      type: str
    unit:
      description: The service, scope or session it belongs to.
      type: str
    container:
      description: What is known of its container.
      type: str
    terminal:
      description: Its controlling terminal.
      type: str
      sample: pts/3
    name:
      description: A name for the instance, made from its alias or its model.
      returned: for a server that is not managed
      type: str
    definition:
      description: The entry for C(llama_instances) that gives the same server; empty if the active build does not take its command.
      returned: for a server that is not managed
      type: dict
    yaml:
      description: The same as text to paste into an inventory.
      returned: for a server that is not managed
      type: str
    notes:
      description: What was left out, and what has to be added.
      returned: for a server that is not managed
      type: list
      elements: str
workers:
  description: The workers of heads on other hosts, by name. None is asked anything, for each serves one client.
  returned: success, without O(parse)
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
      description: The source of that build.
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
manager:
  description: The service manager in use.
  returned: success
  type: str
  sample: systemd
cordon:
  description: Who took this host out of service, when and why, see M(llamaops.llama_cpp.llama_cordon); null where nobody did.
  returned: when O(parse) is not given
  type: dict
  sample: {by: ann, reason: new disk, since: "2026-01-31T12:00:00Z", text: "by ann since 2026-01-31T12:00:00Z: new disk"}
hardening:
  description: How instances are isolated, V(system), V(user) or V(none).
  returned: success
  type: str
  sample: system
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter import llama_instance as adapter
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter.module import open_tree, reporting


def main() -> None:
    module = AnsibleModule(argument_spec=adapter.INFO_ARGUMENTS, supports_check_mode=True)
    with reporting(module):
        tree = open_tree(module)
        outcome = adapter.info(module, tree)
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
