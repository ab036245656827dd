# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Benchmarks: what is asked, the llama-bench command that measures it, and whether it was measured before."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from . import benchdevices, benchresult, command, gguf, lock, sandbox
from .benchdevices import CPU, Devices
from .build import builds
from .errors import Busy, InvalidInput, Prerequisite
from .files import sha256_of
from .host import gpu
from .instance.cmdline import Command
from .instance.definition import CACHE_TYPES
from .model import modelset
from .names import check_keys
from .tree import Tree

FLASH_ATTN = ("on", "off", "auto")
# name -> (flag, default); None leaves the choice to llama-bench
_LISTS: dict[str, tuple[str, list[int]]] = {
    "n_prompt": ("--n-prompt", [512]),
    "n_gen": ("--n-gen", [128]),
    "n_depth": ("--n-depth", [0]),
}
_NUMBERS: dict[str, tuple[str, int | None]] = {
    "repetitions": ("--repetitions", 5),
    "threads": ("--threads", None),
    "batch_size": ("--batch-size", None),
    "ubatch_size": ("--ubatch-size", None),
    "gpu_layers": ("--n-gpu-layers", None),
    "n_cpu_moe": ("--n-cpu-moe", None),
}
_LATER = ("gpu_layers", "n_cpu_moe")  # left out, they are no part of a key: results of before have none
_WORDS = {
    "cache_type_k": ("--cache-type-k", CACHE_TYPES),
    "cache_type_v": ("--cache-type-v", CACHE_TYPES),
    "flash_attn": ("--flash-attn", FLASH_ATTN),
}
_LARGEST = 1 << 24  # tokens, threads, repetitions: more is a mistake
_LOCK_WAIT = 60
_SHARD = re.compile(r"(.*-)00001(-of-(\d{5})\.gguf)")


@dataclass(frozen=True)
class Request:
    """What a user asked for, as given: see the options of the module llama_bench."""

    model: str
    build: str = "active"
    devices: tuple[str, ...] = ()
    tests: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Plan:
    """A benchmark ready to run. `argv` is the llama-bench command; `key` names equal measurements."""

    build_id: str
    model: dict[str, Any]
    devices: Devices
    parameters: dict[str, Any]
    argv: list[str]
    key: str

    @property
    def line(self) -> str:
        """The command for a shell, with the variables that choose its devices."""
        return Command(self.devices.env, tuple(self.argv)).line


def make_plan(tree: Tree, request: Request, read_facts: Callable[[], Mapping[str, Any]] = gpu.read) -> Plan:
    """Check a request against what is on the host.

    :param read_facts: reads its GPUs; asked only for a build that drives some.
    :raises Prerequisite: the build or the model set is not there yet.
    :raises InvalidInput: a value cannot be used, or the model or device does not exist.
    :raises Untrusted: the model file is damaged.
    """
    parameters = read_parameters(request.tests or {})
    build = _build(tree, request.build)
    facts = read_facts() if benchdevices.needs_facts(build, request.devices) else None
    devices = benchdevices.choose(build, request.devices, facts)
    if not devices.names and any(parameters[name] is not None for name in _LATER):
        raise InvalidInput(f"tests: {' and '.join(_LATER)} say what lies on GPUs, and this measures the CPU.")
    model = _model(tree, request.model)
    return Plan(
        build_id=build.id,
        model=model,
        devices=devices,
        parameters=parameters,
        argv=compose(build.tool("llama-bench"), model["path"], parameters, devices),
        key=result_key(build.id, model["sha256"], devices.ids, parameters),
    )


def read_parameters(tests: Mapping[str, Any]) -> dict[str, Any]:
    """The tests with their defaults filled in; what is None is left to llama-bench.

    :raises InvalidInput: an unknown test, a number out of range, nothing to measure.
    """
    check_keys("tests", tests, [*_LISTS, *_NUMBERS, *_WORDS])
    given = {name: value for name, value in tests.items() if value is not None}
    found: dict[str, Any] = {}
    for name, (_flag, tokens) in _LISTS.items():
        found[name] = [_number(name, value, 0) for value in given.get(name, tokens)] or [0]
    for name, (_flag, number) in _NUMBERS.items():
        found[name] = _number(name, given[name], 1) if name in given else number
    for name, (_flag, words) in _WORDS.items():
        found[name] = given.get(name)
        if found[name] not in (None, *words):
            raise InvalidInput(f"tests: {name} is {found[name]!r}.", f"Use one of: {', '.join(words)}.")
    if not any(found["n_prompt"] + found["n_gen"]):
        raise InvalidInput("tests: n_prompt and n_gen are both empty.", "Give at least one number of tokens.")
    return found


def compose(tool: str, model: str, parameters: Mapping[str, Any], devices: Devices) -> list[str]:
    """The llama-bench command."""
    argv = [tool, "--output", "json", "--model", model, *devices.flags]
    for name, (flag, _default) in {**_LISTS, **_NUMBERS, **_WORDS}.items():
        value = parameters[name]
        if value is not None:
            argv += [flag, ",".join(str(number) for number in value) if isinstance(value, list) else str(value)]
    return argv


def result_key(build_id: str, sha256: str, devices: Sequence[str], parameters: Mapping[str, Any]) -> str:
    """A hash that is equal for measurements of the same thing."""
    counted = {name: value for name, value in parameters.items() if name not in _LATER or value is not None}
    content = {"build": build_id, "model": sha256, "devices": list(devices), "parameters": counted}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def check_idle(running: Sequence[Mapping[str, Any]], devices: Sequence[str] = (CPU,)) -> None:
    """Refuse to measure beside other work.

    :param running: as `benchdevices.disturbers` finds it. :raises Busy: names each process and its unit.
    """
    if running:
        who = ", ".join(f"{it['program']} (pid {it['pid']}, {it['unit'] or 'no unit'})" for it in running)
        what = "The CPU" if list(devices) == [CPU] else ", ".join(devices)
        raise Busy(
            f"{what} is in use by {who}: a measurement would be wrong, and disturb it.",
            "Stop it first, or measure anyway with allow_busy: true.",
            running=list(running),
        )


def measure(
    tree: Tree,
    plan: Plan,
    seconds: int,
    allow_busy: bool,
    read_facts: Callable[[], Mapping[str, Any]] = gpu.read,
) -> dict[str, Any]:
    """Run llama-bench unprivileged and store what it measured. Returns the stored result.

    The lock of the root is held meanwhile: a deployment beside it would spoil the figures.

    :raises Busy: another llama.cpp program runs (unless `allow_busy`), or somebody holds the lock.
    :raises CommandFailed: llama-bench failed, or took longer than `seconds`.
    :raises Untrusted: its output cannot be understood.
    """
    wrapped = sandbox.wrap(
        tree, plan.argv, unit=f"llamaops-bench-{os.getpid()}", seconds=seconds + 10, env=plan.devices.env
    )
    with lock.hold(tree, "llama_bench", _LOCK_WAIT) as handle:
        if not allow_busy:
            check_idle(benchdevices.disturbers(plan.devices, read_facts), plan.devices.ids)
        done = command.run(wrapped, cwd="/", timeout=seconds, keep_fds=[handle])
        record = {
            "key": plan.key,
            "time": benchresult.now(),
            "host": os.uname().nodename,
            "build": plan.build_id,
            "model": plan.model,
            "devices": list(plan.devices.ids),
            "parameters": plan.parameters,
            "command": plan.argv,
            "seconds": round(done.seconds, 3),
            "rows": benchresult.read_rows(done.stdout),
        }
        benchresult.append(tree, record)
    return record


def _number(name: str, value: Any, least: int) -> int:
    if not benchresult.whole(value, least, _LARGEST):
        raise InvalidInput(f"tests: {name} is {value!r}.", f"Use whole numbers from {least} to {_LARGEST}.")
    return int(value)


def _build(tree: Tree, name: str) -> builds.Build:
    if name != "active":
        return builds.find(tree, name)
    active = builds.active(tree)
    if active is None:
        raise Prerequisite(f"No build is active in {tree.root}.", "Run llama_build (playbooks/build.yml) first.")
    return active


def _model(tree: Tree, name: str) -> dict[str, Any]:
    """`{name, path, sha256, files}`; the digest of several files is that of the list of theirs."""
    if name.startswith("/"):
        path, files = name, _hashed(tree, name)
    else:
        found = modelset.load(tree, name)
        if found is None:
            raise Prerequisite(
                f"The model {name!r} is not on this host.",
                "Put it into llama_models and run gguf_model (playbooks/models.yml) first, or give an absolute path.",
            )
        modelset.check(found)
        path, files = found.path, list(found.files)
    if "," in path:
        raise InvalidInput(f"llama-bench takes {path} for several models.", "Use a path without a comma.")
    digests = [file.sha256 for file in files]
    joined = digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()
    return {"name": name, "path": path, "sha256": joined, "files": [asdict(file) for file in files]}


def _hashed(tree: Tree, path: str) -> list[modelset.ModelFile]:
    """The files of a model given by its path, hashed unless an earlier result knows them unchanged."""
    shard = _SHARD.fullmatch(path)
    paths = [f"{shard[1]}{number:05d}{shard[2]}" for number in range(1, int(shard[3]) + 1)] if shard else [path]
    missing = [each for each in paths if not os.path.isfile(each)]
    if missing:
        raise InvalidInput(f"There is no file {missing[0]}.", "Give the name of a model set, or the path of a file.")
    gguf.read_header(path)
    known = benchresult.digests(tree)
    unhashed = [modelset.look(each, sha256="") for each in paths]
    return [replace(file, sha256=known.get(file) or sha256_of(file.path)) for file in unhashed]
