# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The builds of a runtime root: immutable folders, one of them active."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import schema
from ..errors import InvalidInput, Untrusted
from ..files import point_link, read_json, read_text, remove_file, sha256_of
from ..host import process
from ..names import did_you_mean
from ..tree import Tree
from .recipe import BUILD_ID

SCHEMA = 1
STAGING = ".staging-"
_REPLACED = STAGING + "replaced-"


@dataclass(frozen=True)
class Build:
    """A build: its id, its folder and what its `manifest.json` says."""

    id: str
    folder: str
    manifest: Mapping[str, Any]

    @property
    def version(self) -> str | None:
        """llama.cpp's version."""
        return self.manifest.get("version")

    @property
    def recipe(self) -> dict[str, Any]:
        """What was asked of it; empty where the manifest does not say."""
        found = self.manifest.get("recipe")
        return found if isinstance(found, dict) else {}

    @property
    def commit(self) -> str | None:
        """The commit of its recipe."""
        return self.recipe.get("commit")

    def tool(self, name: str) -> str:
        """The path of a program of this build.

        :raises InvalidInput: the build has no such program.
        """
        path = os.path.join(self.folder, "bin", name)
        if not os.path.exists(path):
            raise InvalidInput(f"The build {self.id} has no {name}.", f"It has: {', '.join(self.tools())}.")
        return path

    def tools(self) -> list[str]:
        """The names of its programs; backends that these load lie beside them."""
        names = [os.path.basename(name) for name in self.manifest["files"] if name.startswith("bin/")]
        return sorted(name for name in names if not name.endswith(".so"))

    def capabilities(self) -> dict[str, Any]:
        """Its capability document.

        :raises Untrusted: the document is missing or damaged.
        """
        found = read_json(os.path.join(self.folder, "capabilities.json"))
        if not isinstance(found, dict):
            raise Untrusted(f"The build {self.id} has no readable capabilities.json.", "Build it again: force: true.")
        return found

    def whole(self) -> bool:
        """True if every file is there in its full size."""
        for name, facts in self.manifest["files"].items():
            try:
                if os.stat(os.path.join(self.folder, name)).st_size != facts["size"]:
                    return False
            except OSError:
                return False
        return True

    def verify(self) -> None:
        """Compare every file with the hash in the manifest.

        :raises Untrusted: names the files that differ.
        """
        wrong = [name for name, facts in self.manifest["files"].items() if self._hash(name) != facts["sha256"]]
        if wrong:
            raise Untrusted(
                f"The build {self.id} is not what its manifest says: {', '.join(sorted(wrong))}.",
                "Build it again (force: true), or remove it (state: absent).",
            )

    def _hash(self, name: str) -> str | None:
        try:
            return sha256_of(os.path.join(self.folder, name))
        except OSError:
            return None


def list_builds(tree: Tree) -> list[Build]:
    """All complete builds, the newest first.

    :raises InvalidInput: a newer version of the collection made one of them.
    """
    try:
        names = os.listdir(tree.builds)
    except FileNotFoundError:
        return []
    found = [build for name in names if (build := _read(tree, name))]
    return sorted(found, key=lambda build: (str(build.manifest.get("created")), build.id), reverse=True)


def _read(tree: Tree, name: str) -> Build | None:
    if not BUILD_ID.fullmatch(name):
        return None
    path = os.path.join(tree.build(name), "manifest.json")
    manifest = schema.read(read_json(path), SCHEMA, path)
    return Build(name, tree.build(name), manifest) if manifest and isinstance(manifest.get("files"), dict) else None


def find(tree: Tree, build_id: str) -> Build:
    """The build with this id.

    :raises InvalidInput: there is none; lists those there are.
    """
    known = list_builds(tree)
    for build in known:
        if build.id == build_id:
            return build
    names = [build.id for build in known]
    listed = f"There are: {', '.join(names)}." if names else "There is no build yet."
    raise InvalidInput(f"{tree.root} has no build {build_id!r}.", f"{did_you_mean(build_id, names)} {listed}".strip())


def active(tree: Tree) -> Build | None:
    """The build that `current` points to."""
    return _linked(tree, tree.current)


def previous(tree: Tree) -> Build | None:
    """The build that was active before."""
    return _linked(tree, tree.path("previous"))


def _linked(tree: Tree, link: str) -> Build | None:
    target = os.path.join(tree.root, os.readlink(link)) if os.path.islink(link) else ""
    return _read(tree, os.path.basename(target)) if os.path.dirname(target) == tree.builds else None


def activate(tree: Tree, build: Build) -> bool:
    """Make a build the active one; `bin/` gets a link for each of its programs. True if that changed anything.

    The switch is one atomic rename; a run killed around it leaves either the old or the new build active.
    """
    before = active(tree)
    if before and before.id != build.id:
        point_link(tree.path("previous"), f"builds/{before.id}")
    changed = point_link(tree.current, f"builds/{build.id}")
    for tool in build.tools():
        changed |= point_link(os.path.join(tree.bin, tool), f"../current/bin/{tool}")
    for path in _own_links(tree):
        if os.path.basename(path) not in build.tools():
            changed |= remove_file(path)
    return changed


def is_active(tree: Tree, build: Build) -> bool:
    """True if `current` and every link in `bin/` are as `activate` leaves them."""
    current = active(tree)
    names = sorted(os.path.basename(path) for path in _own_links(tree))
    return current is not None and current.id == build.id and names == build.tools()


def _own_links(tree: Tree) -> list[str]:
    """The links in `bin/` that lead through `current`."""
    paths = glob.glob(os.path.join(glob.escape(tree.bin), "*"))
    return [path for path in paths if os.path.islink(path) and os.readlink(path).startswith("../current/")]


def users(tree: Tree, proc: str = "/proc") -> dict[str, list[str]]:
    """Build id -> who needs it: unit files and instances that name its folder, processes that run from it."""
    needed: dict[str, list[str]] = {}
    texts = [(path, read_text(path) or "") for path in unit_files(tree)]
    texts += [(f"process {running.pid}", running.exe or "") for running in process.find_servers(proc)]
    for name in [build.id for build in list_builds(tree)]:
        folders = {tree.build(name) + "/", os.path.realpath(tree.build(name)) + "/"}
        found = [who for who, text in texts if any(folder in text for folder in folders)]
        if found:
            needed[name] = found
    return needed


def outdated(tree: Tree, build_id: str | None, proc: str = "/proc") -> list[str]:
    """Who needs another build than this one: what the way to it leaves behind until it is started again."""
    return sorted({who for name, whose in users(tree, proc).items() if name != build_id for who in whose})


def unit_files(tree: Tree) -> list[str]:
    """The files of this host that say what instances run: units, and what is remembered of them."""
    folders = ["/etc/systemd/system/llama-*.service"] if tree.system else []
    folders.append(os.path.expanduser("~/.config/systemd/user/llama-*.service"))
    root = glob.escape(tree.root)
    folders += [f"{root}/supervisor/conf.d/*.conf", f"{root}/instances/*/instance.json"]
    return sorted(path for pattern in folders for path in glob.glob(pattern))


def superfluous(ids: Sequence[str], keep: int, needed: Collection[str]) -> list[str]:
    """The builds to remove: all but the `keep` newest, of which those that are needed count first.

    :param ids: all there are, the newest first.
    :param needed: those that stay in any case: active, previous, and those that somebody uses.
    """
    stay = {name for name in ids if name in needed}
    for name in ids:
        if len(stay) >= keep:
            break
        stay.add(name)
    return [name for name in ids if name not in stay]


def place(tree: Tree, staging: str, build_id: str) -> Build:
    """Give a finished staging folder its final name; a build of the same id makes way for it."""
    final = tree.build(build_id)
    old = os.path.join(tree.builds, f"{_REPLACED}{build_id}")
    if os.path.lexists(final):
        os.rename(final, old)
    os.rename(staging, final)
    shutil.rmtree(old, ignore_errors=True)
    return find(tree, build_id)


def remove(tree: Tree, build_id: str) -> None:
    """Remove a build. It vanishes at once: its folder is renamed before it is emptied."""
    link = tree.path("previous")
    if os.path.islink(link) and os.path.basename(os.readlink(link)) == build_id:
        remove_file(link)
    grave = os.path.join(tree.builds, f"{STAGING}removed-{build_id}")
    os.rename(tree.build(build_id), grave)
    shutil.rmtree(grave)


def clean(tree: Tree) -> None:
    """Clear away what killed runs left in `builds/`; the caller holds the lock.

    A build that `place` had moved aside comes back when its successor did not arrive.
    """
    for folder in glob.glob(os.path.join(glob.escape(tree.builds), _REPLACED + "*")):
        final = tree.build(os.path.basename(folder)[len(_REPLACED) :])
        if not os.path.lexists(final):
            os.rename(folder, final)
    for folder in glob.glob(os.path.join(glob.escape(tree.builds), STAGING + "*")):
        shutil.rmtree(folder)
