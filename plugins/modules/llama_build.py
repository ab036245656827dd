#!/usr/bin/python
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: llama_build
short_description: Build llama.cpp, prove it, and make it the active build
version_added: 0.1.0
description:
  - Compiles llama.cpp from a git repository, an archive, or the source distribution of C(llama-cpp-python) into an immutable folder C(builds/<build id>) of
    the runtime root. Equal requests on equal hosts have equal build ids, so nothing is compiled twice.
  - A fresh build must load a small model and compute a known answer, without any rights, before C(current) and the links in C(bin/) point to it.
    If it fails, or if the run is killed at any point, the build that was active stays active.
  - Compiles as the user C(llama-build) in the system scope, always at the same path, with C(ccache) where that is installed.
  - Built are C(llama-server), C(llama-bench), C(ggml-rpc-server), C(llama-quantize), C(llama-gguf-split), and C(llama-fit-params) where the tree has it.
    They come without the web UI. Those for the CPU are linked statically; GPU builds and portable ones bring their libraries along.
  - A GPU build must also list a device of its backend on this host before it becomes active, and compute the known answer on it.
    Without one llama.cpp would serve from the CPU and not say so.
  - Two builds of one recipe with the same tools are equal, byte for byte.
author:
  - LlamaOps contributors (@llamaops)
extends_documentation_fragment:
  - llamaops.llama_cpp.attributes
  - llamaops.llama_cpp.attributes.action_group
  - llamaops.llama_cpp.root
  - llamaops.llama_cpp.bundle
attributes:
  idempotent:
    support: partial
    details:
      - A branch or V(latest) may mean another commit the next time, and O(force=true) always builds.
options:
  source:
    description: Where llama.cpp comes from.
    type: dict
    default: {}
    suboptions:
      type:
        description:
          - V(git) is a repository.
          - V(archive) is one C(tar.gz), C(tar.xz) or C(zip) file with a source tree of llama.cpp.
          - V(sdist) is the tree in the source distribution of C(llama-cpp-python) from a Python package index, for hosts that reach only such an index.
          - V(artifact) is a build that was made elsewhere, as one file. Nothing is compiled then. The file must have the O(source.checksum), suit this host's
            machine, C library and CPU, and its server must pass the smoke test here before it can become active.
        type: str
        choices:
          - git
          - archive
          - sdist
          - artifact
        default: git
      url:
        description:
          - Address of the repository (https, ssh, file or an absolute path; by default upstream's), of the archive (https, http or file), of the artifact
            (https or http), or of the package index (by default the one C(pip) is configured for).
          - A password in the address of a package index or archive is sent to that host only, and shown nowhere. That of a repository must have none.
        type: str
      ref:
        description:
          - A tag, a branch, or a commit (7 to 40 hex digits). By default V(latest).
          - V(latest) and V(stable) are the newest release (C(v*) by version, else C(b*)), V(nightly) is the newest C(b*) tag.
          - A tag that a build on the host already names is not asked for again, and a full commit never.
        type: str
      commit:
        description: The full commit that O(source.ref) must mean. This is checked when the tree is fetched.
        type: str
      path:
        description:
          - A file on the host, in place of O(source.url). For V(archive), V(sdist) and V(artifact).
          - Where neither is said and there is a O(bundle), it is the file of the bundle that O(source.build) or O(source.checksum) names, or its only one.
            Say O(source.build) if the bundle shall not be needed any more once the build is here.
        type: path
      checksum:
        description:
          - SHA-256 of the archive, source distribution or artifact, 64 hex digits.
          - Required for an artifact and for an archive from a URL, and for every O(source.version) but the default one, whose hash is part of the collection.
        type: str
      version:
        description: Version of C(llama-cpp-python), by default V(0.3.36). Only for V(sdist).
        type: str
      build:
        description:
          - Id of the build in the artifact. Only for V(artifact).
          - A host that has this build asks for no artifact. Without it, only a host that got the build from this very artifact does so.
        type: str
  backend:
    description:
      - What computes.
      - V(auto) follows the GPUs of the host. NVIDIA means V(cuda), AMD V(hip), Intel with memory of its own V(vulkan), none V(cpu). The result says why.
      - A GPU whose driver does not answer is an error, and so is a host without a GPU whose active build is one for GPUs. Neither becomes a CPU host by
        itself. Say V(cpu), or O(gpus=0).
      - A GPU build that is to become active needs a working GPU on this host. With O(activate=false) it can be made anywhere for other hosts.
    type: str
    choices:
      - auto
      - cpu
      - cuda
      - hip
      - vulkan
    default: auto
  gpus:
    description:
      - How many GPUs the host must have, usually the site variable C(llama_gpus). Fewer are a failure.
      - V(0) states that the host serves from its CPU.
    type: int
  cpu:
    description:
      - V(native) uses all that the CPU of this host has, spelled out in the recipe.
      - V(baseline) leaves upstream's default for the machine (AVX2 on x86-64), for hosts of different kinds.
      - V(portable) compiles the CPU part for every level that upstream knows; the best one is loaded at start. For builds that are shipped.
    type: str
    choices:
      - native
      - baseline
      - portable
    default: native
  architectures:
    description:
      - What GPUs to compile for. By default those of this host.
      - For V(cuda) compute capabilities without the dot, such as V(86) or V(90), with C(-real) or C(-virtual) as in CMake.
      - For V(hip) targets such as V(gfx1100).
    type: list
    elements: str
    default: []
  cuda_home:
    description:
      - Folder of the CUDA toolkit. By default the newest one in the usual places (C(/usr/local/cuda*), C(/opt/cuda*), C(CUDA_HOME), C(PATH)) whose programs the
        driver can run.
    type: path
  cuda_runtime:
    description:
      - V(bundle) copies CUDA's libraries into the build, so that hosts need only the driver. They are listed in the manifest.
      - V(static) links them into the GPU backend; the toolkit must have the archives.
      - V(system) leaves them to the host, which must have the same CUDA version installed where the loader finds it.
    type: str
    choices:
      - bundle
      - static
      - system
    default: bundle
  rocm_home:
    description: Folder of ROCm. By default the newest one in C(ROCM_PATH), C(/opt/rocm*) or C(/usr).
    type: path
  blas:
    description:
      - A BLAS library for prompts on the CPU.
      - V(auto) takes MKL, else OpenBLAS, if it is installed with its headers and the build is for the CPU of this host. What was found is in the result.
    type: str
    choices:
      - auto
      - mkl
      - openblas
      - none
    default: auto
  cmake_options:
    description:
      - Further options of CMake, such as C(GGML_LTO), or C(GGML_CUDA_FORCE_MMQ), C(GGML_CUDA_FORCE_CUBLAS), C(GGML_CUDA_FA_QUANTS), C(GGML_CUDA_GRAPHS) and
        C(GGML_CUDA_NCCL), which are left to upstream (the last one off) unless they are set here. Values are texts, numbers or booleans.
      - An option that this module sets itself is refused.
    type: dict
    default: {}
  jobs:
    description: How many compilers run at once. By default one for each usable CPU and GiB of available memory.
    type: int
  activate:
    description: Make the build the active one. With V(false) it is only there.
    type: bool
    default: true
  active:
    description:
      - Id of a build on this host to make active, for a rollback, or V(previous) for the one that was active before. O(source) does not count then.
      - No network and no compiler is needed. Instances keep running from the folder of their own build until they are deployed again.
      - Its files are compared with the manifest first.
    type: str
  refused:
    description:
      - Ids of builds that must not become active, such as one that was left by a rollback. Where the request comes to one of these, nothing is built, the
        active build stays, and a warning says so; without another active build it is an error.
      - It does not count for O(active), nor with O(activate=false).
    type: list
    elements: str
    default: []
  keep:
    description:
      - How many builds stay on the host. The active one, the one before, and every build that a unit or a running process uses stay in any case.
    type: int
    default: 3
  force:
    description: Build even if there is such a build.
    type: bool
    default: false
  state:
    description:
      - V(present) makes sure that the build is there.
      - V(absent) removes O(build), unless it is active or in use.
    type: str
    choices:
      - present
      - absent
    default: present
  build:
    description: Id of the build to remove. Required with O(state=absent).
    type: str
  lock_timeout:
    description: Seconds to wait while another run changes this root.
    type: int
    default: 600
  speed_gate:
    description:
      - Let C(llama-bench) compare a build with the active one before it takes its place. A slower one is kept, but the active one stays active, and the
        module fails with both numbers. It is not asked for O(active).
      - Both are measured in turn, and of each the best run counts.
    type: dict
    suboptions:
      model:
        description:
          - A model set or an absolute path on the host. Take a small one of the kind you serve. V(builtin:tiny) is always there, but says little about others.
        type: str
        required: true
      min_speed_ratio:
        description: The least speed, as a part of the active build's, in every test.
        type: float
        default: 0.9
      rounds:
        description: How often each is measured at most. The first round in which the build is fast enough ends it.
        type: int
        default: 5
  ship:
    description:
      - Compile once for many hosts. This host builds if O(ship.builder) is its own name in the inventory, and leaves the build as an artifact in a cache on the
        controller. Any other host takes from there what the builder made for the same request, and compiles nothing.
      - One play on a controller works on a request at a time; another one waits for it and takes the result.
      - The action plugin of the module does this. The role P(llamaops.llama_cpp.llama_build#role) chooses builders.
    type: dict
    suboptions:
      cache:
        description: Folder of the artifacts on the controller, by default V(~/.cache/llamaops/artifacts). It can be deleted at any time.
        type: str
      builder:
        description: Name of the host that compiles. By default each host is its own.
        type: str
      target:
        description: For which kind of host this is, as M(llamaops.llama_cpp.llama_build_target) returns RV(llamaops.llama_cpp.llama_build_target#module:key).
        type: str
        required: true
  artifacts:
    description:
      - Ids of the builds that the controller has as artifacts. If this is given, even as an empty list, the build is packed as C(artifacts/<build id>.tar.gz)
        of the root, unless it is in the list; and a build that is in the list is not compiled, but asked for by the failure RV(needs_artifact).
      - The role P(llamaops.llama_cpp.llama_build#role) and the action plugin of this module use it to compile once for many hosts.
    type: list
    elements: str
  job:
    description:
      - The name under which the module tells how far it is, in C(<root>/work/jobs/<job>.progress).
      - The action plugin of the module sets it, runs the module as a job of the host and shows that line every 5 seconds
        on a terminal and every 30 seconds in a log (the variable C(llama_progress_every) changes that), unless the task
        uses C(async) itself. A play that lost its connection or was interrupted goes on watching the job when it is run again.
    type: str
notes:
  - Everything that a build needs is checked before anything is changed, with what was found, what is needed and what helps; RV(preflight) shows it.
  - Needs CMake 3.14 (V(cuda) 3.18, V(vulkan) 3.19, V(hip) 3.21), Ninja, a C and a C++ compiler, and git for
    O(source.type=git); C(ccache) and the headers of OpenSSL are used where they are.
    Programs are looked for on C(PATH) and in C(venv/bin) of the root. What is missing is named at once, with the package that brings it.
  - In check mode the build id is V(none) where only the source tree can tell llama.cpp's version.
seealso:
  - module: llamaops.llama_cpp.llama_runtime
"""

EXAMPLES = r"""
- name: The newest release
  llamaops.llama_cpp.llama_build:
    root: /opt/llama
    backend: cpu

- name: A tag, pinned to its commit
  llamaops.llama_cpp.llama_build:
    root: /opt/llama
    backend: cpu
    source:
      ref: v0.5.2
      commit: 0c1e57098a7c2b1f4d3e5a6978b0c1d2e3f4a5b6

- name: On a host that reaches only a package index, without root
  llamaops.llama_cpp.llama_build:
    root: ~/llama-runtime
    scope: user
    source:
      type: sdist

- name: A build from the site's own mirror
  llamaops.llama_cpp.llama_build:
    root: /opt/llama
    source:
      type: artifact
      url: https://mirror.example.org/llama/0.5.0-a832db0-cpu-0a1b2c3d.tar.gz
      checksum: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

- name: On a host without a network, from a folder that was brought there
  llamaops.llama_cpp.llama_build:
    root: /opt/llama
    source:
      type: artifact
      build: 0.5.0-a832db0-cpu-0a1b2c3d
    bundle:
      path: /media/usb/llama-bundle
      sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

- name: For the NVIDIA GPUs of this host
  llamaops.llama_cpp.llama_build:
    root: /opt/llama
    backend: cuda
    cmake_options:
      GGML_CUDA_FA_QUANTS: all

- name: For other hosts, on a builder without a GPU
  llamaops.llama_cpp.llama_build:
    root: /opt/llama
    backend: cuda
    architectures: ["89", "90"]
    cpu: portable
    activate: false

- name: Back to an earlier build
  llamaops.llama_cpp.llama_build:
    root: /opt/llama
    active: 0.5.0-a832db0-cpu-0a1b2c3d

- name: Remove a build
  llamaops.llama_cpp.llama_build:
    root: /opt/llama
    state: absent
    build: 0.4.9-1f2e3d4-cpu-4d3c2b1a
"""

RETURN = r"""
build_id:
  description: The build this run was about. None in check mode where it cannot be told beforehand.
  returned: success
  type: str
  sample: 0.5.0-a832db0-cpu-0a1b2c3d
path:
  description: The folder of this build.
  returned: success
  type: str
  sample: /opt/llama/builds/0.5.0-a832db0-cpu-0a1b2c3d
compiled:
  description: Whether this run compiled it, or would in check mode.
  returned: success
  type: bool
received:
  description: Whether this run brought it as an artifact, or would in check mode.
  returned: success
  type: bool
artifact:
  description: The build as one file, on this host.
  returned: when O(artifacts) is given and does not have the build
  type: dict
  contains:
    path:
      description: Where it is.
      type: str
    sha256:
      description: Its SHA-256.
      type: str
    size:
      description: Its size in bytes.
      type: int
needs_artifact:
  description: Id of the build whose artifact would help.
  returned: in a failure for want of an artifact
  type: str
compile_seconds:
  description: Seconds the compilers took in this run.
  returned: success
  type: float
  sample: 312.4
backend:
  description: The backend and why it is this one, C(name) and C(reason). None where nothing was to be built.
  returned: success
  type: dict
  sample: {name: cuda, reason: "This host has 1 GPU (NVIDIA H200)."}
blas:
  description: The BLAS library, why it is this one, and which are installed, C(name), C(reason) and C(found).
  returned: success
  type: dict
  sample: {name: none, reason: Neither MKL nor OpenBLAS is installed with its headers., found: {mkl: null, openblas: null}}
preflight:
  description: What a build needs of the host. Empty where nothing was to be compiled.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The need.
      type: str
      sample: CUDA compiler
    found:
      description: What was found.
      type: str
      sample: gnu-12
    needed:
      description: What is needed.
      type: str
      sample: a compiler that the CUDA toolkit accepts (GCC 15 or older)
    ok:
      description: Whether that will do.
      type: bool
    remedy:
      description: What helps if not.
      type: str
    source:
      description: Where the need is stated.
      type: str
active:
  description: The active build after this run.
  returned: success
  type: str
  sample: 0.5.0-a832db0-cpu-0a1b2c3d
previous:
  description: The build that was active before the active one, or none.
  returned: success
  type: str
  sample: 0.4.9-1f2e3d4-cpu-4d3c2b1a
outdated:
  description:
    - The units, instances and processes of this host that use another build than the active one. A restart moves them, if
      the inventory does not pin it.
  returned: success
  type: list
  elements: str
  sample: [/etc/systemd/system/llama-chat.service, process 4711]
removed:
  description: Ids of the builds that this run removed.
  returned: success
  type: list
  elements: str
binaries:
  description: The programs of the build by name, as absolute paths. Empty while it is not there.
  returned: success
  type: dict
  sample:
    llama-server: /opt/llama/builds/0.5.0-a832db0-cpu-0a1b2c3d/bin/llama-server
manifest:
  description: The manifest of the build. Empty while it is not there.
  returned: success
  type: dict
  contains:
    recipe:
      description:
        - All that decides what is built, C(commit), C(backend), C(cmake), C(cpu), C(target), C(compiler), C(patches), and where the backend has them
          C(cuda), C(cuda_runtime) and C(rocm).
      type: dict
    source:
      description: Where the tree came from.
      type: dict
    version:
      description: Version of llama.cpp.
      type: str
    build_number:
      description: Commits up to the one that was built, upstream's build number; 0 for an archive.
      type: int
    tools:
      description: What each tool said about its version.
      type: dict
    files:
      description: Size and SHA-256 of each file.
      type: dict
    compile:
      description: Seconds, C(cpu_seconds) of all processors, jobs, whether ccache was there, and C(peak_memory), the bytes that the largest process had.
      type: dict
    smoke:
      description: What the fresh server answered; of a GPU build also C(devices), those it listed, and C(on_device), the same proof on the first one.
      type: dict
    backend:
      description: The backend, why it was chosen, and the BLAS library.
      type: dict
    issues:
      description: Known breaks between versions, each V(applied) (its patch or flag was used), V(expired) or V(not affected), and why.
      type: list
      elements: dict
    bundled:
      description: The libraries of others that go with the build.
      type: list
      elements: str
    created:
      description: When it was built.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter import llama_build
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter.module import open_tree, reporting


def main() -> None:
    module = AnsibleModule(argument_spec=llama_build.ARGUMENTS, supports_check_mode=True, **llama_build.RULES)
    with reporting(module):
        module.exit_json(**llama_build.run(module, open_tree(module)))


if __name__ == "__main__":
    main()
