#!/usr/bin/python
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: llama_instance
short_description: Launch and supervise llama-server instances
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Brings a list of instances to the wanted state in one call. Each instance is one C(llama-server) under a service
    manager, with one unit file that shows its whole command line.
  - An instance counts as started when C(/health) says so and it has given a real answer, a generated token or an
    embedding. When it does not, the reason is taken from its log, and the unit that ran before is started again.
  - Before a launch its memory is planned, from the header of the model, for the devices of the host. Every number that was left
    to the plan is given to the server as a flag. A launch that does not fit is refused, with the cheapest change that would.
  - A call that changes nothing restarts nothing.
extends_documentation_fragment:
  - llamaops.llama_cpp.root
  - llamaops.llama_cpp.attributes
  - llamaops.llama_cpp.attributes.action_group
options:
  instances:
    description: The instances. Ports are checked before anything is changed.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The name of the instance, 1 to 40 lower case letters, digits and single dashes. The unit is C(llama-<name>.service).
          - Clients may use it as the name of the model.
        type: str
        required: true
      kind:
        description:
          - V(server) answers chats and completions, V(embedding) computes embeddings, V(rerank) sorts documents by a question,
            V(router) serves several models, each started when somebody asks for it, V(transformers) runs the service that the role
            P(llamaops.llama_cpp.llama_reranker#role) brings, for rerankers and embedding models of that library. Default is V(server).
        type: str
        choices: [server, embedding, rerank, router, transformers]
      state:
        description:
          - V(started) runs now and after a reboot; V(stopped) neither. V(restarted) restarts it in any case.
          - V(absent) stops it and removes its unit and key file. Default is V(started).
        type: str
        choices: [started, stopped, restarted, absent]
      model:
        description: The name of a model set of M(llamaops.llama_cpp.gguf_model), or the absolute path of a GGUF file.
        type: str
      mmproj:
        description:
          - The absolute path of a multimodal projector, or V(none). The default is that of the model set, if it was fetched with one.
        type: str
      lora:
        description: Adapters, each a model set, the absolute path of a GGUF file, or a dictionary of C(file) and C(scale).
        type: list
        elements: raw
      spec:
        description:
          - Speculative decoding. C(type) is one kind of C(--spec-type) or a list of them, C(draft) is a model set, an absolute path, V(set)
            (the draft of the model set) or V(own) (the MTP layers of the model itself). Neither is guessed.
          - Tuning, by upstream's names without C(spec-draft-) - C(n_max), C(n_min), C(p_min), C(p_split), C(gpu_layers), C(devices),
            C(cache_type_k), C(cache_type_v), C(override_tensor), C(cpu_moe), C(n_cpu_moe), C(threads), C(threads_batch), C(cpu_mask),
            C(cpu_mask_batch), C(cpu_range), C(cpu_strict), C(cpu_strict_batch), C(prio), C(prio_batch), C(poll), C(poll_batch),
            C(backend_sampling); C(ngram) is a dictionary of numbers such as C(mod_n_match).
          - After a start, how many drafted tokens are accepted and how fast that is against no drafts is measured. Slower than none is
            a warning; with C(strict) set to V(true) it is a failure.
        type: dict
      models:
        description:
          - The models of a router by name, each a dictionary of the fields here that belong to one model (C(model), C(kind), C(ctx_size),
            C(options), ...) and C(load), which has it loaded when the router starts.
          - An edit restarts the models that changed, and nothing else.
        type: dict
      alias:
        description: The names clients use for the model. Default is the name of the instance.
        type: list
        elements: str
      port:
        description: The TCP port, 1024 to 65535, unique on the host. Required unless the instance is V(absent) or binds to a socket.
        type: int
      bind:
        description:
          - V(loopback), V(private) (the address in O(address)), V(public) (all IPv4 addresses), one IP address, or the absolute path of a
            socket that ends in C(.sock).
          - Anything but loopback needs at least one key. Default is V(loopback).
        type: str
      keys:
        description: Names of the API keys that open the instance, see O(keys).
        type: list
        elements: str
      tls:
        description: Absolute paths of PEM files. The probe insists on this very certificate.
        type: dict
        suboptions:
          cert:
            description: The certificate, with its chain.
            type: path
          key:
            description: Its private key.
            type: path
      devices:
        description:
          - V(auto) (the plan chooses; the default), V(none), a list of GPUs by UUID (V(GPU-...), V(MIG-...)) or PCI address
            (C(pci:0000:03:00.0)), or a dictionary of C(count) and C(name).
        type: raw
      rpc:
        description:
          - Workers on other hosts, each a dictionary of C(host), C(worker) and C(address) (C(host:port)), and of C(build) and C(commit), the
            build that runs there and its source, which must be that of the instance. The role fills in all but the first two.
        type: list
        elements: dict
      ctx_size:
        description:
          - The context in tokens, shared by all slots, or V(auto). Default is 8192, or the length the model was trained for if that is less.
        type: raw
      parallel:
        description: How many requests are worked on at once, or V(auto); each gets its share of the context. Default is 1.
        type: raw
      cache_type_k:
        description: Data type of the K cache.
        type: str
        choices: [f32, f16, bf16, q8_0, q4_0, q4_1, iq4_nl, q5_0, q5_1, auto]
      cache_type_v:
        description: Data type of the V cache.
        type: str
        choices: [f32, f16, bf16, q8_0, q4_0, q4_1, iq4_nl, q5_0, q5_1, auto]
      gpu_layers:
        description: How many layers lie on GPUs, V(all), or V(auto) (the plan chooses; the default).
        type: raw
      tensor_split:
        description: The share of each device, a list or text with commas, or V(auto).
        type: raw
      split_mode:
        description: How a model is split over devices.
        type: str
        choices: [none, layer, row, tensor]
      main_gpu:
        description: Which of the devices, counted from 0, computes alone where nothing is split.
        type: int
      cpu_moe:
        description: Keep all experts on the host.
        type: bool
      n_cpu_moe:
        description: Keep the experts of so many layers on the host, or V(auto).
        type: raw
      plan:
        description: What the planner may do to make the instance fit, see M(llamaops.llama_cpp.llama_plan).
        type: dict
        suboptions:
          allow:
            description: The rungs that may be used.
            type: list
            elements: str
            choices: [n_cpu_moe, cache_type, ubatch_size, ctx_size, gpu_layers, rpc]
          ctx_floor:
            description: The context in tokens below which it does not go. Default is 4096.
            type: int
          exact:
            description: Also ask the build what it would take.
            type: bool
          force:
            description: Launch although the plan does not fit.
            type: bool
          allow_mismatch:
            description: Let it serve although it lies elsewhere than planned, for example since an option moves tensors.
            type: bool
      jinja:
        description: Whether chat templates are read by Jinja. The default is upstream's.
        type: bool
      reasoning_format:
        description: How thoughts of the model are told apart, one of the words of C(--reasoning-format).
        type: str
      chat_template_file:
        description: The absolute path of a chat template that replaces the model's own.
        type: path
      slots:
        description: Whether C(/slots) tells what is worked on. The default is upstream's.
        type: bool
      metrics:
        description: Whether C(/metrics) is there for Prometheus.
        type: bool
      log_level:
        description: How much is logged. Below V(trace), the default, nobody can tell where the buffers lie.
        type: str
        choices: [error, warning, info, trace, debug]
      proof:
        description:
          - What a reranker must do to count as started, V(ranks) (put texts that answer a question above others; the default for
            O(instances[].kind=rerank)) or V(answers) (answer in the right shape).
        type: str
        choices: [answers, ranks]
      build:
        description: The build id to run, or V(active). Default is V(active).
        type: str
      options:
        description:
          - Any other flag of C(llama-server), by its long name with underscores, for example V(flash_attn).
          - Names and values are checked against what the build itself says it accepts.
          - A list is joined with commas, or repeats the flag where it accumulates. A null removes an inherited default.
        type: dict
      allow_unsafe:
        description: Flags among O(instances[].options) that open the host to clients and must be named here to be accepted.
        type: list
        elements: str
      env:
        description: Environment variables of the server. They can be read by every user of the host, so secrets are refused.
        type: dict
      restart:
        description:
          - When a changed unit restarts a running instance. V(needed) does so for a change of the command, its environment, the build,
            the model or the keys, V(always) for every change of the unit, V(never) for none.
          - A change that waits for a restart is reported as RV(instances.restart_pending). Default is V(needed).
        type: str
        choices: [needed, never, always]
      start_timeout:
        description: Seconds the model may take to load. The default grows with the size of the model.
        type: int
      drain_timeout:
        description: Seconds to wait for running requests before a stop. Default is 30.
        type: int
      memory_max:
        description: Limit of the memory of the service, for example V(48GiB), where systemd enforces it.
        type: str
      adopt:
        description:
          - With V(true), a C(llama-server) that somebody else started and that listens on O(instances[].port) is taken under management
            without a restart. systemd makes a scope around its process, with the limit of its memory, which counts what it takes from
            then on. Its unit is written and starts at boot, when the process ends, or at the next restart
            (O(instances[].state=restarted), or when this key is removed); until then RV(instances.restart_pending) is true.
          - A key of O(instances[].keys) without a value in O(keys) is taken from the command of that process.
          - A process of another service or a container is left to it, and reported as external. One with a terminal, or of another
            user, is refused unless this is V(force). supervisord cannot adopt.
          - Nothing happens where no such process runs. Default is V(false).
        type: raw
      front:
        description:
          - The port for clients, where HAProxy keeps requests waiting while the server is replaced - C(port), C(bind) (V(loopback),
            V(private), V(public) or an address) and C(wait), the most seconds a request waits.
          - The role P(llamaops.llama_cpp.llama_front#role) runs it. This module holds requests back and lets them go on.
        type: dict
  keys:
    description:
      - The values of API keys by name, 8 to 512 printable characters.
      - They are written to a file that only its owner can read, and appear in no command line, unit, log or result.
    type: dict
  made_keys:
    description:
      - Names of keys that this host makes for itself, if it has not yet. Each lies in a file that only root (in the user scope the
        user) can read; results tell its path in RV(made_keys), never the key. Remove the file to have another one made.
    type: list
    elements: str
    default: []
  address:
    description: The address of this host that V(private) means in O(instances[].bind).
    type: str
  manager:
    description:
      - The service manager. V(auto) takes systemd where it runs (of the system, or of the user), else supervisord from the
        managed virtual environment, in the user scope only.
    type: str
    choices: [auto, systemd, supervisor]
    default: auto
  purge:
    description: Whether to remove managed instances that are not listed, as O(prune=remove) does.
    type: bool
    default: false
  prune:
    description:
      - What becomes of managed instances that are not listed. All of them are reported as RV(orphans); V(stop) also stops them and
        keeps them from starting at boot, V(remove) removes them.
    type: str
    choices: [report, stop, remove]
    default: report
  recover:
    description:
      - Bring the host back without restarting anything that serves. Units are written, what does not run is started, each instance on
        its own; a process that differs from its unit is left running and reported as RV(instances.restart_pending).
    type: bool
    default: false
  lock_timeout:
    description: Seconds to wait for another run that works on the same root.
    type: int
    default: 60
requirements:
  - systemd 249 or newer, or supervisor in the managed virtual environment
seealso:
  - module: llamaops.llama_cpp.llama_build
  - module: llamaops.llama_cpp.gguf_model
  - module: llamaops.llama_cpp.llama_instance_info
"""

EXAMPLES = r"""
- name: Serve a chat model and an embedding model
  llamaops.llama_cpp.llama_instance:
    root: /opt/llama
    keys:
      team: "{{ vault_team_key }}"
    instances:
      - name: chat
        model: qwen3-8b
        port: 8080
        bind: public
        keys: [team]
        ctx_size: 32768
        parallel: 4
        options:
          flash_attn: "on"
      - name: embed
        kind: embedding
        model: /srv/models/embedding.gguf
        port: 8081

- name: Serve three models behind one port, one of them loaded at once
  llamaops.llama_cpp.llama_instance:
    root: /opt/llama
    instances:
      - name: all
        kind: router
        port: 8090
        options:
          models_max: 2
        models:
          chat: {model: qwen3-8b, ctx_size: 16384, load: true}
          embed: {model: qwen3-embedding, kind: embedding}
          rank: {model: qwen3-reranker, kind: rerank}

- name: Draft with a small model of the same family
  llamaops.llama_cpp.llama_instance:
    root: /opt/llama
    instances:
      - name: big
        model: qwen3-32b
        port: 8091
        spec: {type: draft-simple, draft: qwen3-0-6b, n_max: 8}

- name: Take over the server on port 8080, which somebody started by hand, as it runs
  llamaops.llama_cpp.llama_instance:
    root: /opt/llama
    instances:
      - name: chat
        model: /home/anna/models/qwen3-8b.gguf
        port: 8080
        ctx_size: 32768
        adopt: true
  register: taken

- name: Show what to write into llama_instances
  ansible.builtin.debug:
    msg: "{{ taken.instances.chat.adoption.yaml | default('nothing was adopted') }}"

- name: Stop one instance and keep it stopped after a reboot
  llamaops.llama_cpp.llama_instance:
    root: /opt/llama
    instances:
      - name: chat
        model: qwen3-8b
        port: 8080
        state: stopped
"""

RETURN = r"""
instances:
  description: What was done for each instance, by name.
  returned: success
  type: dict
  contains:
    state:
      description: The wanted state.
      type: str
      sample: started
    changed:
      description: Whether this instance was changed.
      type: bool
    actions:
      description:
        - What was done, or would be done in check mode.
        - V(admit) ends a change that was cut off; requests that its front held back go on.
      type: list
      elements: str
      sample: [write, start]
    change:
      description:
        - How a server that runs is replaced. With V(beside) the new one is started next to it, proves itself and takes over. With
          V(in_place) the old one is stopped first.
      type: str
      returned: when a server that runs is replaced
      sample: beside
    change_reason:
      description: Why it is replaced in this way.
      type: str
      returned: when a server that runs is replaced
      sample: a second server takes 6.1 GiB more of GPU-7a1c, where 11.2 GiB are left
    cut:
      description: How many answers took longer than C(drain_timeout) and were broken off; a warning says so too.
      type: int
    restart_pending:
      description: Whether the unit says something that the running process does not yet.
      type: bool
    unit:
      description: The unit file.
      type: str
      sample: /etc/systemd/system/llama-chat.service
    build_id:
      description: The build that serves.
      type: str
      sample: 0.5.0-a832db0-cpu-1b2c3d4e
    model:
      description: The model set or file that is served.
      type: str
      sample: qwen3-8b
    url:
      description: Where the host itself reaches the instance.
      type: str
      sample: http://127.0.0.1:8080
    endpoint:
      description: Where clients reach the instance.
      type: str
      sample: http://10.0.0.5:8080
    command:
      description: The command as a list of arguments.
      type: list
      elements: str
    command_line:
      description: The command as one line for a shell, with its environment.
      type: str
    plan:
      description:
        - The memory that is planned for the instance, and the numbers that it is launched with. The unit holds it; it is made
          again when the instance, its model, its build or its devices change, and stands otherwise.
        - Each device has its components in bytes. RV(instances.plan.host) has C(needed), what the server works with, and
          C(ceiling), the limit that is set for its memory when O(instances[].memory_max) is not given.
      type: dict
      contains:
        devices:
          description: The devices in use, in the order of C(--device).
          type: list
          elements: dict
        host:
          description: The memory of the host.
          type: dict
        options:
          description: Every option that decides about memory, as a number or a word.
          type: dict
        rung:
          description: The step of the ladder that was needed, as in M(llamaops.llama_cpp.llama_plan).
          type: str
          sample: fewest_devices
        confidence:
          description: V(high), or V(low) where more than the weights rests on a general rule.
          type: str
    pid:
      description: The process, when the instance should run; 0 if it does not.
      type: int
      sample: 4711
    residency:
      description:
        - Whether the buffers that the server named at its start, and the driver of its GPUs, show it where the plan put it.
        - V(verified), V(mismatch) or V(unknown). A start that ends in V(mismatch) fails, and what ran before runs again, unless
          C(allow_mismatch) is set in O(instances[].plan).
      type: str
      returned: when the instance runs
      sample: verified
    residency_reasons:
      description: What differs from the plan, one sentence each.
      type: list
      elements: str
      returned: when the instance runs
    actual:
      description: Bytes taken by device (or C(host)) and component; C(process) is what the driver or the kernel counts.
      type: dict
      returned: when the instance runs
      sample: {host: {weights: 335616, process: 41943040}}
    adopted:
      description: Whether a process serves that somebody else started and that was taken over.
      type: bool
      returned: when the instance should run
    adoption:
      description: The process that is taken over in this call, or that another service keeps.
      type: dict
      returned: when O(instances[].adopt) found a process
      contains:
        pid:
          description: The process, the same before and after.
          type: int
        exe:
          description: Its program.
          type: str
        user:
          description: Its user.
          type: str
        unit:
          description: The service, scope or session it belonged to.
          type: str
        container:
          description: What is known of its container.
          type: str
        terminal:
          description: Its controlling terminal.
          type: str
        external:
          description: Whether another service or a container keeps it.
          type: bool
        uncounted:
          description: Bytes that it held before, which its limit does not count.
          type: int
        definition:
          description: The entry for C(llama_instances) that gives the same server; empty if the active build does not take its command.
          type: dict
        yaml:
          description: The same as text to paste into an inventory.
          type: str
        notes:
          description: What was left out, and what has to be added.
          type: list
          elements: str
    proof:
      description: The answer that proved a start, a generated text or the dimensions of an embedding; empty if nothing was started.
      type: dict
      sample: {text: "Hello", tokens: 4, tokens_per_second: 41.7}
      contains:
        text:
          description: The generated text.
          type: str
        speculation:
          description:
            - What drafts brought, for an instance with O(instances[].spec) that was started - tokens C(drafted) and C(accepted), their
              C(rate), milliseconds a token with drafts (C(ms_per_token)) and without (C(ms_without)).
          type: dict
made_keys:
  description: The files of the keys that this host made, by name.
  returned: success
  type: dict
  sample: {own: /opt/llama/keys/.made/own}
orphans:
  description: Managed instances of the host that were not listed.
  returned: success
  type: list
  elements: str
manager:
  description: The service manager in use.
  returned: success
  type: str
  sample: systemd
hardening:
  description: How instances are isolated, V(system), V(user) or V(none).
  returned: success
  type: str
  sample: system
log:
  description: The end of the log of an instance that did not come up.
  returned: when an instance did not come up
  type: str
cut:
  description: How many answers of an instance that did not come up took longer than O(instances[].drain_timeout) and broke off.
  returned: when an instance did not come up
  type: int
restored:
  description: Whether the unit that ran before answers again.
  returned: when an instance did not come up
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter import llama_instance as adapter
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter.module import open_tree, reporting


def main() -> None:
    module = AnsibleModule(argument_spec=adapter.ARGUMENTS, supports_check_mode=True)
    with reporting(module):
        tree = open_tree(module)
        manager = adapter.choose_manager(module, tree)
        steps, orphans, proofs = adapter.converge(module, tree, manager)
        adapter.warn(module, steps, proofs)
        outcome = adapter.result(manager, steps, orphans, proofs, module.params["address"])
    module.exit_json(made_keys=adapter.made_keys(module, tree), **outcome)


if __name__ == "__main__":
    main()
