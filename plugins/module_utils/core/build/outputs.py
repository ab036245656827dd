# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the build folder to a build: the programs, the libraries that they need, and the backends that they load."""

from __future__ import annotations

import filecmp
import glob
import os
import shutil
from collections.abc import Collection, Iterable, Sequence
from typing import IO

from ..errors import InvalidInput
from ..tree import Tree, build_account
from . import elf

BUNDLED = ("libcudart.so.", "libcublas.so.", "libcublasLt.so.", "libnccl.so.", "libnvJitLink.so.")
"""The libraries of a CUDA toolkit that may go with a program (CUDA EULA, attachment A)."""


def copy(tree: Tree, names: Sequence[str], target: str, bundle: Sequence[str] = ()) -> list[str]:
    """Copy into `bin` and `lib` of a folder; returns the names of what was bundled, such as `lib/libcudart.so.13`.

    :param names: the programs. Libraries of the same build that they need go to `lib` under the name by which they are
        looked for, backends that are loaded at run time to `bin`, where ggml looks for them.
    :param bundle: folders with libraries of others that go along.
    :raises InvalidInput: a program is missing, or something is no plain file of the user who compiled.
    """
    made = os.path.join(tree.work, "build", "bin")
    for name in names:
        _copy_made(tree, os.path.join(made, name), os.path.join(target, "bin", name))
    own = _libraries(made)
    for soname in _closure([os.path.join(made, name) for name in names], made, own):
        _copy_made(tree, os.path.join(made, own[soname]), os.path.join(target, "lib", soname))
    there = set(os.listdir(os.path.join(target, "lib")))
    for soname, name in own.items():
        if name.startswith("libggml-") and name.endswith(".so") and soname not in there:
            _copy_made(tree, os.path.join(made, name), os.path.join(target, "bin", name))
            for needed in _closure([os.path.join(made, name)], made, own) - there:
                _copy_made(tree, os.path.join(made, own[needed]), os.path.join(target, "lib", needed))
    return _bundle(target, bundle)


def _libraries(folder: str) -> dict[str, str]:
    """The name by which it is looked for -> file name, of every shared library in a build folder that is no link."""
    found = {}
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.startswith("lib") and ".so" in name and not os.path.islink(path) and elf.is_elf(path):
            found[elf.read(path).soname or name] = name
    return found


def _closure(paths: Iterable[str], folder: str, own: dict[str, str]) -> set[str]:
    """The libraries of the build folder that files need, and those that these need."""
    found: set[str] = set()
    left = [path for path in paths if elf.is_elf(path)]
    while left:
        for name in elf.read(left.pop()).needed:
            if name in own and name not in found:
                found.add(name)
                left.append(os.path.join(folder, own[name]))
    return found


def _bundle(target: str, folders: Collection[str]) -> list[str]:
    """Copy what is needed of the libraries that may go along."""
    left = [os.path.join(target, place, name) for place in ("bin", "lib") for name in os.listdir(f"{target}/{place}")]
    found: list[str] = []
    while left and folders:
        path = left.pop()
        for name in elf.read(path).needed if elf.is_elf(path) else ():
            copy_to = os.path.join(target, "lib", name)
            if not name.startswith(BUNDLED) or os.path.exists(copy_to):
                continue
            source = next((path for folder in folders if os.path.exists(path := os.path.join(folder, name))), None)
            if source is not None:
                _share_or_copy(source, copy_to, os.path.dirname(target))
                found.append(f"lib/{name}")
                left.append(copy_to)
    return sorted(found)


def _share_or_copy(source: str, target: str, builds: str) -> None:
    """Copy a library; where another build has the same one, give that a second name instead: cuBLAS takes 600 MB.

    Builds are never written to, so none of them can spoil it for the others.
    """
    others = os.path.join(glob.escape(builds), "[!.]*", "lib", os.path.basename(target))
    for other in sorted(glob.glob(others)):
        if not os.path.islink(other) and filecmp.cmp(source, other, shallow=False):
            os.link(other, target)
            return
    shutil.copyfile(source, target)
    os.chmod(target, 0o755)


def _copy_made(tree: Tree, path: str, target: str) -> None:
    account = build_account(tree)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as exc:
        raise InvalidInput(f"The build left no program {path}: {exc.strerror}.") from exc
    with os.fdopen(handle, "rb") as source, open(target, "wb") as copy_:
        if os.fstat(handle).st_uid != (account.uid if account else os.geteuid()):
            raise InvalidInput(f"{path} does not belong to the user who compiled it.")
        _pour(source, copy_)
        os.fchmod(copy_.fileno(), 0o755)


def _pour(source: IO[bytes], target: IO[bytes]) -> None:
    shutil.copyfileobj(source, target, 1 << 20)
