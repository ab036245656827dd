# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A build that was made elsewhere: fetched, checked, proven on this host, and only then put into place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Callable

from ..errors import Prerequisite
from ..tree import Tree
from . import artifact, builds, compat, recipe, smoke
from .buildplan import Request
from .builds import Build
from .source import Source


def prefer(wanted: Mapping[str, Any] | None, request: Request) -> None:
    """Stop before a compile whose result can be had as an artifact.

    Which patches a build needs only the source tree tells; so one with any of those that are known is taken, as
    `recipe.same` does with builds that are here. No tree is fetched.

    :raises Prerequisite: with the id of that build as the detail `needs_artifact`.
    """
    if wanted is None or request.force:
        return
    found = [name for name in request.artifacts if name.endswith(recipe.endings(wanted))]
    if found:
        raise Prerequisite(
            f"The build {found[0]} need not be compiled.", "Bring its artifact.", needs_artifact=found[0]
        )


def install(tree: Tree, source: Source, force: bool, progress: Callable[[str], None]) -> Build:
    """Put the build of an artifact into place; the caller holds the lock of the root.

    A whole build of the same id that is there already stays as it is, unless `force` is set.

    :raises Prerequisite: neither a path nor a URL is given; the detail `needs_artifact` is the wanted id.
    :raises LlamaOpsError: it cannot be had, is damaged, is not for this host, or does not pass its proof.
    """
    if not (source.url or source.path):
        raise Prerequisite(
            f"The build {source.build or 'of this artifact'} is not on this host, and nobody brought its artifact.",
            "Give source.url or source.path.",
            needs_artifact=source.build or "?",
        )
    staging = os.path.join(tree.builds, f"{builds.STAGING}received-{os.getpid()}")
    os.mkdir(staging, 0o700)
    try:
        progress("fetch the artifact")
        with artifact.fetch(source, staging) as file:
            size = os.fstat(file.fileno()).st_size
            progress("unpack the artifact")
            folder, manifest = artifact.extract(file, os.path.join(staging, "build"))
        os.unlink(os.path.join(staging, "artifact.tar.gz"))
        os.chmod(staging, 0o755)  # nothing unproven is in it any more, and the smoke test must get in
        compat.check(manifest["recipe"], compat.here())
        progress("smoke test")
        proof = smoke.prove_in(tree, folder, str(manifest["recipe"].get("backend")))
        there = artifact.find(builds.list_builds(tree), replace(source, build=manifest["id"]))
        if there and not force:
            artifact.note(there.folder, source, size, proof)
            return there
        artifact.note(folder, source, size, proof)
        return builds.place(tree, folder, manifest["id"])
    finally:
        shutil.rmtree(staging, ignore_errors=True)
