# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a root holds: its builds, which is active, who needs each, and the disk that they take. Changes nothing."""

from __future__ import annotations

import os
import shutil
from typing import Any

from ..tree import Tree
from . import builds
from .builds import Build


def describe(tree: Tree) -> dict[str, Any]:
    """`{builds, active, previous, disk}`; sizes are bytes on the disk."""
    active, previous = builds.active(tree), builds.previous(tree)
    users = builds.users(tree)
    marks = {"active": active.id if active else None, "previous": previous.id if previous else None}
    return {
        **marks,
        "builds": [
            {**_build(build, users.get(build.id, [])), **_marks(build, marks)} for build in builds.list_builds(tree)
        ],
        "disk": disk(tree),
    }


def disk(tree: Tree) -> dict[str, int | None]:
    """`{builds, work, cache, free}`: what each folder takes, and what the file system has left."""
    used: dict[str, int | None] = {name: taken(tree.path(name)) for name in ("builds", "work", "cache")}
    free = shutil.disk_usage(tree.root).free if os.path.isdir(tree.root) else None
    return {**used, "free": free}


def taken(folder: str) -> int:
    """The bytes that a folder takes on the disk; a file with several names counts once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for path, _folders, files in os.walk(folder):
        for name in files:
            try:
                state = os.lstat(os.path.join(path, name))
            except OSError:
                continue  # somebody is building
            if (state.st_dev, state.st_ino) not in seen:
                seen.add((state.st_dev, state.st_ino))
                total += state.st_blocks * 512
    return total


def _marks(build: Build, marks: dict[str, str | None]) -> dict[str, bool]:
    return {name: build.id == build_id for name, build_id in marks.items()}


def _build(build: Build, users: list[str]) -> dict[str, Any]:
    manifest, recipe = build.manifest, build.recipe
    return {
        "id": build.id,
        "path": build.folder,
        "version": build.version,
        "commit": build.commit,
        "created": manifest.get("created"),
        "backend": recipe.get("backend"),
        "cpu": recipe.get("cpu"),
        "target": recipe.get("target"),
        "cuda": recipe.get("cuda"),
        "architectures": _architectures(recipe.get("cmake") or {}),
        "patches": recipe.get("patches") or [],
        "bundled": manifest.get("bundled") or [],
        "source": manifest.get("source"),
        "smoke": manifest.get("smoke"),
        "tools": build.tools(),
        "capabilities": _capabilities(build),
        "whole": build.whole(),
        "size": taken(build.folder),
        "used_by": users,
    }


def _architectures(cmake: dict[str, str]) -> list[str]:
    said = cmake.get("CMAKE_CUDA_ARCHITECTURES") or cmake.get("CMAKE_HIP_ARCHITECTURES") or ""
    return [part for part in said.split(";") if part]


def _capabilities(build: Build) -> dict[str, Any] | None:
    """A summary of the capability document: how many options, and what of it people ask for first."""
    try:
        document = build.capabilities()
    except Exception:  # noqa: BLE001  a damaged document must not hide the build
        return None
    return {
        "version": document.get("version"),
        "options": len(document.get("options") or []),
        "speculative": document.get("speculative") or [],
        "rpc": "ggml-rpc-server" in build.tools() or "rpc-server" in build.tools(),
    }
