# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of `llama_build` has to do: the difference between what is asked for and what a root holds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import InvalidInput, MissingLibrary, MissingTool
from ..host import cgroup, gpu, machine
from ..tree import Tree
from . import artifact, backend, builds, checkout, cmake, preflight, recipe, source_archive, source_git
from .builds import Build
from .means import Means, Wanted
from .means import find as find_means
from .preflight import Row
from .refusal import heed
from .source import Exact, Source, git_record, recorded
from .speed import Gate
from .toolchain import Toolchain

PREVIOUS = "previous"
"""The build that was active before, as the one to go back to."""


@dataclass(frozen=True)
class Request:
    """What a user asks for: the options of the module.

    :param artifacts: ids of builds that can be had instead of being compiled.
    :param gate: how fast a build must be to become the active one.
    :param refused: ids of builds that must not become active.
    :param gpus: how many GPUs the host must have; 0: it serves from its CPU.
    """

    source: Source
    backend: str = "auto"
    cpu: str = "native"
    cmake_options: Mapping[str, Any] = field(default_factory=dict)
    jobs: int | None = None
    activate: bool = True
    active: str | None = None
    keep: int = 3
    force: bool = False
    state: str = "present"
    build: str | None = None
    artifacts: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    gate: Gate | None = None
    architectures: Sequence[str] = ()
    cuda_home: str | None = None
    cuda_runtime: str = "bundle"
    rocm_home: str | None = None
    blas: str = "auto"
    gpus: int | None = None


@dataclass(frozen=True)
class Plan:
    """What there is to do.

    :param build_id: the build this is about; None while only the source tree could tell its version.
    :param receive: it comes as an artifact.
    :param exact: the tree to compile, `recipe` how; None where neither can be known yet.
    :param active, previous, ids: what is active, what was before, and all builds (the newest first) afterwards.
    :param rows: what the preflight found, where there is something to compile.
    :param means: the backend with what it takes on this host; None where nothing is built.
    :param warnings: what could not be looked at yet (check mode only), or was not done because it is refused.
    """

    build_id: str | None
    compile: bool = False
    receive: bool = False
    activate: bool = False
    remove: tuple[str, ...] = ()
    exact: Exact | None = None
    recipe: Mapping[str, Any] | None = None
    means: Means | None = None
    rows: tuple[Row, ...] = ()
    active: str | None = None
    previous: str | None = None
    ids: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        return self.compile or self.receive or self.activate or bool(self.remove)


def decide(tree: Tree, request: Request, tools: Toolchain, check: bool, exact: Exact | None = None) -> Plan:
    """Look at the root, the source and the host; nothing is changed.

    The network is asked only for what may have moved: a branch, a channel, a tag that no build names yet.

    :param check: what an earlier step would bring is a warning then, not an error.
    :param exact: the tree, where it is known already.
    :raises LlamaOpsError: the request cannot be met.
    """
    if request.state == "absent":
        return _removal(tree, recipe.check_build_id(request.build or ""))
    if request.active:
        return _switch(tree, _named(tree, request.active))
    known = builds.list_builds(tree)
    if request.source.type == "artifact":
        there = None if request.force else artifact.find(known, request.source)
        plan = Plan(there.id) if there else Plan(request.source.build, receive=True)
        return _present(tree, request, known, plan)
    warnings: list[str] = []
    means = _means(tree, request, tools, check, warnings)
    wish = _wish(request, tools, means) if means else None
    rows = _rows(tree, request, tools, means)
    if not (tools.compiler and means and means.complete) and not check:
        preflight.require(rows)
    exact = exact or _resolve(tree, request.source, tools, known, check, warnings)
    ready = exact and tools.compiler and means and means.complete
    wanted = recipe.compose(exact.commit, **wish) if ready and exact and wish else None
    plan = Plan(None, exact=exact, recipe=wanted, means=means)
    same = [build for build in known if wanted and recipe.same(build.recipe, wanted) and build.whole()]
    if same and not request.force:
        return _present(tree, request, known, replace(plan, build_id=same[0].id))
    try:
        preflight.require(rows)
    except MissingTool as exc:
        if not check:
            raise
        warnings.append(f"Not there yet: {exc.problem}")
    build_id = _id(exact, wanted, known)
    plan = replace(plan, build_id=build_id, compile=True, rows=tuple(rows), warnings=tuple(warnings))
    return _present(tree, request, known, plan)


def _means(tree: Tree, request: Request, tools: Toolchain, check: bool, warnings: list[str]) -> Means | None:
    """The backend and what it takes here; None, in check mode, where a library that reads GPUs is not there yet.

    :raises LlamaOpsError: a GPU does not answer, or the request cannot be met on this host.
    """
    try:
        # a host that shall only compute with its CPU is not asked for its GPUs
        seen = gpu.look(expected=0 if request.backend == "cpu" else request.gpus)
    except MissingLibrary as exc:
        if not check:
            raise
        warnings.append(f"Not there yet: {exc.problem}")
        return None
    active = builds.active(tree)
    before = active.recipe.get("backend") if active else None
    choice = backend.choose(request.backend, seen, before, request.gpus)
    wanted = Wanted(
        request.architectures,
        request.cuda_home,
        request.cuda_runtime,
        request.rocm_home,
        request.blas,
        request.cpu,
        request.activate,
        request.cmake_options,
    )
    return find_means(choice, wanted, tools, seen)


def _rows(tree: Tree, request: Request, tools: Toolchain, means: Means | None) -> list[Row]:
    name = means.choice.backend if means else "cpu"
    rows = preflight.common(tools, tree, request.source.type == "git", name)
    return [*rows, *(means.rows if means else ())]


def _removal(tree: Tree, build_id: str) -> Plan:
    known = builds.list_builds(tree)
    names = [build.id for build in known]
    active = builds.active(tree)
    if active and active.id == build_id:
        raise InvalidInput(f"The build {build_id} is active.", "Activate another one first (active: <build id>).")
    users = builds.users(tree).get(build_id)
    if users:
        raise InvalidInput(f"The build {build_id} is in use by {', '.join(users)}.", "Stop or move these first.")
    there = os.path.lexists(tree.build(build_id))
    return Plan(
        build_id,
        remove=(build_id,) if there else (),
        active=active.id if active else None,
        previous=_id_of(builds.previous(tree), but=build_id),
        ids=tuple(name for name in names if name != build_id),
    )


def _named(tree: Tree, name: str) -> Build:
    """The build that a rollback asks for: by its id, or the one that was active before."""
    if name != PREVIOUS:
        return builds.find(tree, recipe.check_build_id(name))
    found = builds.previous(tree)
    if found is None:
        raise InvalidInput(f"In {tree.root} no build was active before this one.", "Name a build that is there.")
    return found


def _switch(tree: Tree, build: Build) -> Plan:
    active = _id_of(builds.active(tree))
    return Plan(
        build.id,
        activate=not builds.is_active(tree, build),
        active=build.id,
        previous=active if active not in (None, build.id) else _id_of(builds.previous(tree)),
        ids=tuple(known.id for known in builds.list_builds(tree)),
    )


def _present(tree: Tree, request: Request, known: Sequence[Build], plan: Plan) -> Plan:
    """The plan with what follows for `current` and for old builds."""
    active, previous = _id_of(builds.active(tree)), _id_of(builds.previous(tree))
    plan = heed(request, plan, active, tree.root)
    build_id = plan.build_id
    existing = next((build for build in known if build.id == build_id), None)
    made = plan.compile or plan.receive
    activate = request.activate and not (existing and not made and builds.is_active(tree, existing))
    if request.activate and active != build_id:
        previous, active = active or previous, build_id
    names = [build.id for build in known]
    if build_id not in names:
        names.insert(0, build_id or "?")
    needed = {active or "?", previous, build_id or "?", *builds.users(tree)} - {None}
    remove = builds.superfluous(names, request.keep, {str(name) for name in needed})
    return replace(
        plan,
        activate=activate,
        remove=tuple(remove),
        active=active,
        previous=previous,
        ids=tuple(name for name in names if name not in remove and name != "?"),
    )


def _id_of(build: Build | None, but: str = "") -> str | None:
    return build.id if build and build.id != but else None


def _resolve(
    tree: Tree, source: Source, tools: Toolchain, known: Sequence[Build], check: bool, warnings: list[str]
) -> Exact | None:
    """The exact tree; None where only a fetch can tell (a short commit), or, in check mode, a later run."""
    if source.type != "git":
        found = source_archive.resolve(source)
        if found is None and not check:
            raise InvalidInput(f"source.path {source.path!r} is not there.")
        warnings += [] if found else [f"{source.path} is not there yet, so the build id cannot be told."]
        return found
    url = source_git.check_url(source.url or source_git.URL)
    ref = source_git.check_ref(source.ref or source.commit or "latest")
    commit = source.commit or (ref if len(ref) == 40 and source_git.is_hex(ref) else None)
    if commit:
        return Exact(commit, "commit", None, git_record(url, ref, "commit"))
    found = recorded(known, url, ref)
    if found:
        return found
    if "git" not in tools.programs:
        if not check:
            preflight.require(preflight.common(tools, tree, True))
        warnings.append(f"git is not there yet, so the commit that {ref!r} means cannot be told.")
        return None
    with checkout.session(tree, source, tools) as git:
        found = source_git.resolve(git, ref)
    if found is None and check:
        warnings.append(f"Only a fetch of the repository can tell which commit {ref!r} is.")
    return found


def _wish(request: Request, tools: Toolchain, means: Means) -> dict[str, Any]:
    """A recipe but for the commit: what the request and this host say.

    :raises InvalidInput: an option that cannot be built.
    """
    system = os.uname()
    cpu = recipe.choose_cpu(request.cpu, system.machine, machine.cpu("/", cgroup.limits())["flags"])
    release, libc = machine.os_release(), machine.libc()
    library = f"{libc['name']} {libc['version'] or ''}".strip() if libc["name"] else None
    name = means.choice.backend
    return {
        "backend": name,
        "cmake": cmake.options(request.cmake_options, cpu, tools.openssl, name, means.options),
        "cpu": cpu.name,
        "target": recipe.target(system.machine, release["id"], release["version"], library),
        "compiler": tools.compiler or "",
        **means.recipe,
    }


def _id(exact: Exact | None, wanted: Mapping[str, Any] | None, known: Sequence[Build]) -> str | None:
    """The id of a build to make, where the version of the tree is known beforehand."""
    if exact is None or wanted is None:
        return None
    said = [build.version for build in known if build.commit == exact.commit]
    version = exact.version or (said[0] if said else None)
    return recipe.build_id(str(version), wanted) if version else None
