# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making, activating and removing builds: the effects of a plan, under the lock of the root."""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Callable

from .. import lock, sandbox
from .. import tree as trees
from ..command import Result, run
from ..errors import MissingTool
from ..files import sha256_of, write_json
from ..tree import Tree
from . import (
    builds,
    capabilities,
    checkout,
    compile,
    devices,
    flags,
    libraries,
    outputs,
    patching,
    receiving,
    recipe,
    smoke,
    speed,
    toolchain,
)
from .buildplan import Plan, Request, decide
from .builds import Build
from .source import Exact
from .toolchain import Toolchain

Progress = Callable[[str], None]


@dataclass(frozen=True)
class State:
    """What a root holds: the active build, the one before, all ids (the newest first)."""

    active: str | None
    previous: str | None
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What a run found, did (in check mode: would do), and left.

    :param build: the build this was about; None where it is not there (yet).
    """

    plan: Plan
    before: State
    after: State
    build: Build | None


def look(tree: Tree) -> State:
    """The state of a root."""
    active, previous = builds.active(tree), builds.previous(tree)
    names = tuple(build.id for build in builds.list_builds(tree))
    return State(active.id if active else None, previous.id if previous else None, names)


def ensure(tree: Tree, request: Request, check: bool, wait: float, progress: Progress = lambda text: None) -> Outcome:
    """Bring a root to what is asked for. The lock is taken only when there is something to do.

    :param check: only say what would be done.
    :param wait: seconds to wait for another run on this root.
    :param progress: gets a word for each step.
    :raises Busy: another run holds the lock. :raises LlamaOpsError: as the steps do; what was active stays active.
    """
    tools = toolchain.find(tree)
    before = look(tree)
    plan = decide(tree, request, tools, check)
    if check or not plan.changes:
        after = State(plan.active, plan.previous, plan.ids)
        return Outcome(plan, before, after, _there(tree, plan))
    with _plain_rights(), _full_disk_named(tree):
        trees.ensure(tree)
        with lock.hold(tree, "llama_build", wait) as handle:
            builds.clean(tree)
            plan = _apply(tree, request, tools, plan.exact, handle, progress)
    return Outcome(plan, before, look(tree), _there(tree, plan))


def _there(tree: Tree, plan: Plan) -> Build | None:
    return next((build for build in builds.list_builds(tree) if build.id == plan.build_id), None)


def _apply(
    tree: Tree, request: Request, tools: Toolchain, exact: Exact | None, handle: int, progress: Progress
) -> Plan:
    """Decide once more, now that nobody else writes, and do it. Returns the plan with the id that came of it."""
    plan = decide(tree, request, tools, False, exact)
    if plan.compile and plan.exact is None:
        plan = decide(tree, request, tools, False, checkout.find_short(tree, request.source, tools))
    if plan.compile or plan.receive:
        if plan.receive:
            made = receiving.install(tree, request.source, request.force, progress)
        else:
            receiving.prefer(plan.recipe, request)
            made = _make(tree, request, plan, tools, handle, progress)
        fit = made.id not in request.refused  # an artifact without a name tells its id only now
        plan = replace(plan, build_id=made.id, activate=plan.activate and fit)
    try:
        _activate(tree, request, plan, progress)
    finally:
        _prune(tree, plan)
    return plan


def _activate(tree: Tree, request: Request, plan: Plan, progress: Progress) -> None:
    """Make the build the active one, if it is fit for that here.

    :raises NotProven: it is not.
    """
    if plan.activate:
        build = builds.find(tree, plan.build_id or "")
        if request.active:  # it was proven when it came; the host may have changed since
            build.verify()
            libraries.require(build.folder, driver=False)
        devices.require(tree, build.folder, str(build.recipe.get("backend")))
        if request.gate and not request.active:
            speed.prove(tree, build, request.gate, progress)
        builds.activate(tree, build)


def _prune(tree: Tree, plan: Plan) -> None:
    """Remove what the plan says. It counts on an activation, so when that failed the build before stays too.

    A build whose removal was asked for goes in any case.
    """
    previous = builds.previous(tree)
    for build_id in plan.remove:
        if previous is None or build_id == plan.build_id or build_id != previous.id:
            builds.remove(tree, build_id)


def _make(tree: Tree, request: Request, plan: Plan, tools: Toolchain, handle: int, progress: Progress) -> Build:
    """Fetch, compile, prove, and put into place."""
    exact, means = plan.exact, plan.means
    if exact is None or plan.recipe is None or means is None:
        raise RuntimeError("A build was planned without a source tree or a compiler.")
    number = checkout.prepare(tree, request.source, exact, tools, progress)
    backend = means.choice.backend
    applied = patching.apply(tree, tools, number, means.recipe.get("cuda"), means.headers)
    for issue in applied.report:
        progress(f"known issue {issue['id']}: {issue['why']}")
    asked = {**plan.recipe, "patches": list(applied.labels)}
    options = {
        **flags.neutral({**asked["cmake"], **means.arguments}, tree.work, backend, applied.flags),
        "LLAMA_BUILD_COMMIT": recipe.commit7(exact.commit),
        "LLAMA_BUILD_NUMBER": str(number),
    }
    jobs = toolchain.jobs(request.jobs, backend)
    done = compile.compile_tree(tree, tools, options, recipe.digest(asked), jobs, [handle], progress, means.environment)
    version = checkout.version(tree, number)
    manifest = {
        "backend": {"name": backend, "reason": means.choice.reason, "blas": means.blas.as_dict()},
        "build_number": number,
        "compile": {
            "ccache": "ccache" in tools.programs,
            "cpu_seconds": round(done.cpu_seconds, 1),
            "jobs": done.jobs,
            "peak_memory": done.peak,
            "seconds": round(done.seconds, 1),
        },
        "id": recipe.build_id(version, asked),
        "issues": list(applied.report),
        "recipe": asked,
        "schema": builds.SCHEMA,
        "source": dict(exact.record),
        "tools": {**toolchain.versions(tools), **means.versions()},
        "version": version,
    }
    return _install(tree, manifest, done.tools, means.bundle, progress)


def _install(
    tree: Tree, manifest: dict[str, Any], names: Sequence[str], bundle: Sequence[str], progress: Progress
) -> Build:
    """Copy the programs into a staging folder, prove them there, and give it its final name."""
    staging = os.path.join(tree.builds, f"{builds.STAGING}{manifest['id']}-{os.getpid()}")
    try:
        for folder in ("bin", "lib"):
            os.makedirs(os.path.join(staging, folder))
        bundled = outputs.copy(tree, names, staging, bundle)
        progress("smoke test")
        server = os.path.join(staging, "bin", "llama-server")
        document = capabilities.read(server, lambda argv: _run_fresh(tree, argv))
        write_json(os.path.join(staging, "capabilities.json"), document)
        proof = smoke.prove_in(tree, staging, manifest["recipe"]["backend"])
        made = [f"{folder}/{name}" for folder in ("bin", "lib") for name in os.listdir(os.path.join(staging, folder))]
        proven = {
            "bundled": bundled,
            "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds"),
            "files": {name: _facts(staging, name) for name in ["capabilities.json", *sorted(made)]},
            "smoke": proof,
        }
        write_json(os.path.join(staging, "manifest.json"), {**manifest, **proven})
        return builds.place(tree, staging, manifest["id"])
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _run_fresh(tree: Tree, argv: Sequence[str]) -> Result:
    command = sandbox.wrap(tree, argv, unit=f"llama-ask-{os.getpid()}", seconds=30)
    return run(command, timeout=60, check=False)


def _facts(folder: str, name: str) -> dict[str, Any]:
    path = os.path.join(folder, name)
    return {"sha256": sha256_of(path), "size": os.stat(path).st_size}


@contextlib.contextmanager
def _plain_rights() -> Iterator[None]:
    """What is made in the block can be read by everybody, whatever the caller's umask."""
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def _full_disk_named(tree: Tree) -> Iterator[None]:
    """Say in words that the disk is full."""
    try:
        yield
    except OSError as exc:
        if exc.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise MissingTool(
            f"The disk of {tree.root} is full; what was active stays active.",
            f"Make room ({tree.work} and {tree.cache} may be deleted at any time), then run this again.",
        ) from exc
