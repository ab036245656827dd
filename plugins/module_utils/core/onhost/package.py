# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command as one file that Python runs: the core, packed the same from the same sources everywhere.

Compiled code lies beside the sources, since compiling them would take longer than most commands. It is for one version
of Python; another one passes over it and reads the sources, so only these say which command it is. The comment of the
archive, its last bytes, says so, and has a second digest of all bytes before that: damage is found without reading a
damaged archive.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import io
import json
import marshal
import os
import pkgutil
import stat
import sys
import tempfile
import zipfile
from collections.abc import Mapping

from .. import command
from ..files import point_link, write_bytes
from ..tree import Tree

NAME, PACKAGE, MODE = "llama-host", "llamaops_core", 0o755
_SHEBANG = b"#!/usr/bin/env -S python3 -I\n"
_THEN = (2020, 1, 1, 0, 0, 0)  # zip files have times; this one has the same from every build
_UNCHECKED = 0b01  # of PEP 552: a hash stands where the time would, and nobody compares it
_HEX = 64  # characters of a SHA-256
_MAIN = """\
from {package}.onhost.command import main

raise SystemExit(main({root!r}, {scope!r}, {manager!r}, {version!r}))
"""
_COMPILE = """\
import json, marshal, sys
with open(sys.argv[1], encoding="utf-8") as file:
    files = json.load(file)
codes = {name: marshal.dumps(compile(text, name, "exec", dont_inherit=True)) for name, text in files.items()}
with open(sys.argv[2], "wb") as file:
    marshal.dump(codes, file)
"""


def sources(tree: Tree, manager: str) -> dict[str, bytes]:
    """Name in the archive -> source: every file of the core that is here, and what starts it for this root.

    Ansible sends a module what it imports, so this is what llama_runtime brought along.
    """
    core = __package__.rpartition(".")[0]
    found = {f"{PACKAGE}/__init__.py": _source(core)}
    for item in pkgutil.walk_packages(importlib.import_module(core).__path__, f"{core}."):
        below = item.name[len(core) + 1 :].replace(".", "/")
        found[f"{PACKAGE}/{below}{'/__init__' if item.ispkg else ''}.py"] = _source(item.name)
    version = digest(found)[:12]
    text = _MAIN.format(package=PACKAGE, root=tree.root, scope=tree.scope, manager=manager, version=version)
    return {**dict(sorted(found.items())), "__main__.py": text.encode()}


def digest(files: Mapping[str, bytes]) -> str:
    """One SHA-256 for all of them, in hex."""
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(f"{name}\0{len(files[name])}\0".encode() + files[name])
    return whole.hexdigest()


def pack(files: Mapping[str, bytes]) -> bytes:
    """The command; equal for equal sources and the same version of Python."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = b"0" * 2 * _HEX
        compiled = _compiled({name: source for name, source in files.items() if name != "__main__.py"})
        for name, source in files.items():
            _put(archive, name, source)
            if name in compiled:
                _put(archive, name + "c", compiled[name])
    content = _SHEBANG + data.getvalue()[: -2 * _HEX] + digest(files).encode()
    return content + hashlib.sha256(content).hexdigest().encode()


def path(tree: Tree) -> str:
    return os.path.join(tree.libexec, NAME)


def link(tree: Tree) -> str:
    """Where people find it, beside the programs of the active build."""
    return os.path.join(tree.bin, NAME)


def found_digest(tree: Tree) -> str | None:
    """The digest of the command that is installed; None if there is none that could run."""
    try:
        with open(path(tree), "rb") as file:
            data, mode = file.read(), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except OSError:
        return None
    content, said = data[:-_HEX], data[-_HEX:]
    right = hashlib.sha256(content).hexdigest().encode() == said and mode == MODE
    return content[-_HEX:].decode("ascii", "replace") if right else None


def stale(tree: Tree, manager: str) -> dict[str, tuple[str, str]]:
    """Path -> (what is there, what shall be) of the command and its link, where they differ."""
    wanted, there = digest(sources(tree, manager)), found_digest(tree)
    changes = {}
    if there != wanted:
        changes[path(tree)] = (f"sources {there}\n" if there else "", f"sources {wanted}\n")
    target = os.readlink(link(tree)) if os.path.islink(link(tree)) else ""
    if target != _TARGET:
        changes[link(tree)] = (f"link to {target}\n" if target else "", f"link to {_TARGET}\n")
    return changes


_TARGET = f"../libexec/{NAME}"


def install(tree: Tree, manager: str) -> None:
    """Write what `stale` names; whoever runs the old one keeps it."""
    changes = stale(tree, manager)
    if path(tree) in changes:
        write_bytes(path(tree), pack(sources(tree, manager)), MODE)
    if link(tree) in changes:
        point_link(link(tree), _TARGET)


def _source(name: str) -> bytes:
    spec = importlib.util.find_spec(name)
    get = getattr(spec.loader if spec else None, "get_source", None)
    return (get(name) or "" if get else "").encode("utf-8")


def _compiled(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The code of each file as it lies in a .pyc, by a Python of its own: only a fresh one always writes the same.

    :raises CommandFailed: it does not start.
    """
    given = json.dumps({name: source.decode("utf-8") for name, source in files.items()})
    with tempfile.TemporaryDirectory(prefix="llama-host-") as folder:
        sources_at, compiled_at = (os.path.join(folder, name) for name in ("sources", "compiled"))
        write_bytes(sources_at, given.encode())
        command.run([sys.executable, "-S", "-c", _COMPILE, sources_at, compiled_at], env={"PYTHONHASHSEED": "0"})
        with open(compiled_at, "rb") as file:
            codes: dict[str, bytes] = marshal.load(file)
    kind = importlib.util.MAGIC_NUMBER + _UNCHECKED.to_bytes(4, "little")
    return {name: kind + importlib.util.source_hash(files[name]) + code for name, code in codes.items()}


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _THEN)
    entry.external_attr = 0o644 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED if name.endswith(".py") else zipfile.ZIP_STORED
    archive.writestr(entry, data)
