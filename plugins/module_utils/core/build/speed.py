# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The speed gate: a build that computes right but slowly does not replace a faster one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Callable

from .. import benchresult, sandbox
from ..command import run
from ..errors import InvalidInput, NotProven, Prerequisite
from ..model import modelset
from ..tree import Tree
from . import builds, tinymodel
from .builds import Build

BUILTIN = "builtin:tiny"
_TESTS = ("--n-prompt", "256", "--n-gen", "64", "--repetitions", "1")
_SECONDS = 600  # for one run of llama-bench


@dataclass(frozen=True)
class Gate:
    """What is measured and what is enough.

    :param model: a model set, an absolute path, or `builtin:tiny`, which says little about the speed of others.
    :param min_ratio: speed of the fresh build by that of the active one.
    :param rounds: how often each is measured at most.
    """

    model: str
    min_ratio: float = 0.9
    rounds: int = 5


Speeds = Mapping[str, float]


def prove(tree: Tree, fresh: Build, gate: Gate, progress: Callable[[str], None]) -> None:
    """Compare a build with the active one, if there is another.

    They run in turn, so that what disturbs one disturbs the other, and of each the best counts, for noise only makes
    slower. It ends with the first round in which the fresh build is fast enough.

    :raises NotProven: it is slower than that in some test; says both numbers.
    :raises Prerequisite: the model is not on this host. :raises CommandFailed, Untrusted: llama-bench failed.
    """
    active = builds.active(tree)
    if active is None or active.id == fresh.id:
        return
    _check(gate)
    with tempfile.TemporaryDirectory(prefix=builds.STAGING + "speed-", dir=tree.builds) as folder:
        os.chmod(folder, 0o755)
        model = _model(tree, gate.model, folder)
        old: Speeds = {}
        new: Speeds = {}
        for number in range(gate.rounds):
            progress(f"measure the speed, round {number + 1} of at most {gate.rounds}")
            old, new = best(old, _measure(tree, active, model)), best(new, _measure(tree, fresh, model))
            if not slower(old, new, gate.min_ratio):
                return
    missed = slower(old, new, gate.min_ratio)
    said = "; ".join(f"{test}: {new.get(test, 0.0):.1f} against {old[test]:.1f} tokens/s" for test in missed)
    raise NotProven(
        f"The build {fresh.id} is slower than the active {active.id} ({said}; the best of {gate.rounds} runs each, "
        f"{gate.min_ratio:g} times the speed is wanted).",
        "The build was kept, but what was active stays active. To take it all the same, lower min_speed_ratio.",
        speeds={"active": dict(old), "fresh": dict(new)},
    )


def best(one: Speeds, other: Speeds) -> Speeds:
    """The higher speed in each test. Pure."""
    return {test: max(one.get(test, 0.0), other.get(test, 0.0)) for test in {**one, **other}}


def slower(old: Speeds, new: Speeds, ratio: float) -> list[str]:
    """The tests in which `new` reaches less than `ratio` of `old`, both in tokens/s. Pure."""
    return [test for test, speed in old.items() if new.get(test, 0.0) < ratio * speed]


def _check(gate: Gate) -> None:
    if not 0 < gate.min_ratio <= 10 or gate.rounds < 1:
        raise InvalidInput("speed_gate: min_speed_ratio must lie between 0 and 10, and rounds must be 1 or more.")


def _measure(tree: Tree, build: Build, model: str) -> Speeds:
    """Tokens/s by test. A build for the CPU is kept off the devices that others would see."""
    argv = [build.tool("llama-bench"), "--output", "json", "--model", model, *_TESTS]
    if build.recipe.get("backend") == "cpu":
        argv += ["--device", "none", "--n-gpu-layers", "0"]
    command = sandbox.wrap(tree, argv, unit=f"llama-speed-{os.getpid()}", seconds=_SECONDS)
    done = run(command, cwd="/", timeout=_SECONDS + 10)
    return {row["test"]: row["avg_ts"] for row in benchresult.read_rows(done.stdout)}


def _model(tree: Tree, name: str, folder: str) -> str:
    """The path of the model to measure with; the built-in one is written into the folder."""
    if name == BUILTIN:
        path = os.path.join(folder, "tiny.gguf")
        tinymodel.write(path)
        return path
    if name.startswith("/"):
        if os.path.isfile(name):
            return name
        raise Prerequisite(f"The model {name} of the speed gate is not on this host.", "Correct speed_gate.model.")
    found = modelset.load(tree, name)
    if found is None:
        raise Prerequisite(
            f"The model {name!r} of the speed gate is not on this host.",
            "Put it into llama_models and run gguf_model (playbooks/models.yml) first, or give an absolute path.",
        )
    return found.path
