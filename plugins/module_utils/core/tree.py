# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runtime root: which folder holds what, and who owns it."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import re
import stat
from dataclasses import dataclass

from .command import Account
from .errors import InvalidInput, MissingTool

BUILD_USER = "llama-build"
MODEL_GROUP = "llama-models"
SYSTEM, USER = "system", "user"
# it stands unquoted in unit files and link targets
SAFE_PATH = re.compile(r"(/[A-Za-z0-9._+@-]+)+")


@dataclass(frozen=True)
class Tree:
    """The paths of one runtime root (absolute) and its scope, `system` or `user`."""

    root: str
    scope: str

    def path(self, *parts: str) -> str:
        return os.path.join(self.root, *parts)

    @property
    def builds(self) -> str:
        return self.path("builds")

    @property
    def current(self) -> str:
        return self.path("current")

    @property
    def bin(self) -> str:
        return self.path("bin")

    @property
    def models(self) -> str:
        return self.path("models")

    @property
    def sets(self) -> str:
        return self.path("models", ".sets")

    @property
    def instances(self) -> str:
        return self.path("instances")

    @property
    def keys(self) -> str:
        return self.path("keys")

    @property
    def benchmarks(self) -> str:
        return self.path("benchmarks")

    @property
    def cache(self) -> str:
        return self.path("cache")

    @property
    def venv(self) -> str:
        return self.path("venv")

    @property
    def work(self) -> str:
        return self.path("work")

    @property
    def jobs(self) -> str:
        return self.path("work", "jobs")

    @property
    def libexec(self) -> str:
        return self.path("libexec")

    @property
    def probe(self) -> str:
        return self.path("libexec", "llama-probe")

    @property
    def lock(self) -> str:
        return self.path(".lock")

    @property
    def system(self) -> bool:
        return self.scope == SYSTEM

    def build(self, build_id: str) -> str:
        return self.path("builds", build_id)


def open_tree(root: str, scope: str = "auto") -> Tree:
    """The tree at `root` (`~` is expanded), whether it exists or not.

    `auto` is `system` when root runs this and the folder lies outside root's home, else `user`.

    :raises InvalidInput: the path is not absolute, is the root of the file system, or the scope needs root.
    """
    path = os.path.normpath(os.path.expanduser(root))
    if not SAFE_PATH.fullmatch(path):
        raise InvalidInput(
            f"{root!r} cannot be a runtime root.",
            "Give an absolute path of letters, digits and ._+@- such as /opt/llama.",
        )
    if scope == "auto":
        scope = SYSTEM if os.geteuid() == 0 and not _below(path, os.path.expanduser("~")) else USER
    if scope == SYSTEM and os.geteuid() != 0:
        raise InvalidInput("The system scope needs root.", "Use become: true, or scope: user.")
    return Tree(path, scope)


def ensure(tree: Tree, check: bool = False) -> list[str]:
    """Create the folders of the tree with their owners and modes; returns the paths that changed.

    Everything belongs to the caller, except that in the system scope `work` and `cache` belong to the
    user `llama-build`, and models and their group to `llama-models`.

    :raises MissingTool: the user or the group of the system scope does not exist.
    """
    inside = tree.work + os.sep  # belongs to whoever compiles, who could put links there
    return [
        path for path, owner, mode in _folders(tree) if _folder(path, owner, mode, check, not path.startswith(inside))
    ]


def _folders(tree: Tree) -> list[tuple[str, tuple[int, int], int]]:
    me = (os.geteuid(), os.getegid())
    builder, readers = me, me
    if tree.system:
        account = build_account(tree)
        builder = (account.uid, account.gid) if account else me
        readers = (0, _model_group())
    public, private = 0o755, 0o700
    models = 0o2750 if tree.system else 0o755
    return [
        (tree.root, me, public),
        (tree.builds, me, public),
        (tree.bin, me, public),
        (tree.libexec, me, public),
        (tree.instances, me, public),
        (tree.benchmarks, me, public),
        (tree.keys, me, private),
        (tree.models, readers, models),
        (tree.sets, readers, models),
        (tree.cache, builder, public),
        (tree.work, builder, public),
        (tree.jobs, me, public),
    ]


def build_account(tree: Tree) -> Account | None:
    """Who compiles and fetches source: `llama-build` in the system scope, None (the caller) else."""
    if not tree.system:
        return None
    try:
        entry = pwd.getpwnam(BUILD_USER)
    except KeyError:
        raise MissingTool(
            f"The user {BUILD_USER!r}, who compiles llama.cpp in the system scope, does not exist.",
            f"Run the role llama_runtime, or: useradd --system --user-group --no-create-home {BUILD_USER}",
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, tree.work)


def _model_group() -> int:
    try:
        return grp.getgrnam(MODEL_GROUP).gr_gid
    except KeyError:
        raise MissingTool(
            f"The group {MODEL_GROUP!r}, which may read models in the system scope, does not exist.",
            f"Run the role llama_runtime, or: groupadd --system {MODEL_GROUP}",
        ) from None


def _folder(path: str, owner: tuple[int, int], mode: int, check: bool, follow: bool) -> bool:
    """Make a folder what it should be; True if that changed it.

    It is held open while owner and mode are changed, so that nobody can put another one in its place meanwhile.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    missing = not os.path.lexists(path)
    try:
        if missing and not check:
            os.makedirs(path, exist_ok=True)
        handle = os.open(path, flags)
    except OSError as exc:
        if check and isinstance(exc, FileNotFoundError):
            return True
        if exc.errno not in (errno.ENOTDIR, errno.ELOOP, errno.EEXIST, errno.ENOENT):
            raise
        raise InvalidInput(f"{path} should be a folder and is not.", "Move it away, or choose another root.") from exc
    try:
        state = os.fstat(handle)
        right = (state.st_uid, state.st_gid) == owner and stat.S_IMODE(state.st_mode) == mode
        if not right and not check:
            os.fchown(handle, *owner)
            os.fchmod(handle, mode)
        return missing or not right
    finally:
        os.close(handle)


def _below(path: str, parent: str) -> bool:
    return path == parent or path.startswith(parent.rstrip("/") + "/")
