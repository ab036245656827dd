# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gathering units, records, plans, the ends of logs and messages of drivers into one archive of texts.

Keys, certificates and files of tokens are not read, but to know which values may not appear.
"""

from __future__ import annotations

import glob
import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

from .. import files
from ..command import run
from ..errors import LlamaOpsError
from ..instance import logs, overview, unit
from ..instance.service import Manager
from ..tree import Tree
from .redact import Redactor

MOST = 1 << 20  # bytes of one text, its end
_DRIVER = re.compile(r"nvrm|nvidia|\bxid\b|amdgpu|\bkfd\b|i915|\bxe\b|\bdrm\b|out of memory|oom-kill|llama|mce:", re.I)
_RECORDS = ("instances/*/*.json", "builds/*/manifest.json", "models/.sets/*.json", "benchmarks/*.jsonl", ".cordon")
_ASKED = {
    "host/kernel.txt": ["uname", "-a"],
    "host/disk.txt": ["df", "-h"],
    "host/memory.txt": ["free", "-m"],
    "host/processors.txt": ["lscpu"],
    "host/nvidia.txt": ["nvidia-smi", "-q"],
    "host/amd.txt": ["rocm-smi", "--showallinfo"],
}

Text = Callable[[], str]


def bundle(tree: Tree, manager: Manager, lines: int) -> tuple[bytes, dict[str, int], int]:
    """The archive (tar.gz), the size of each text in it by name, and how many secrets were taken out.

    :param lines: of each log.
    """
    redactor = Redactor(secrets(tree))
    texts = {name: redactor.clean(_tried(text))[-MOST:] for name, text in sources(tree, manager, lines)}
    return packed(texts), {name: len(text) for name, text in texts.items()}, redactor.count


def secrets(tree: Tree) -> list[str]:
    """The values that must not appear: every line of every key file."""
    found: list[str] = []
    for folder, _folders, names in os.walk(tree.keys):
        for name in names:
            text = files.read_text(os.path.join(folder, name)) or ""
            found += [line.strip() for line in text.splitlines() if line.strip()]
    return found


def sources(tree: Tree, manager: Manager, lines: int) -> Iterator[tuple[str, Text]]:
    """Name of each text, and what gets it."""
    for path in sorted(glob.glob(os.path.join(os.path.dirname(manager.path("x")), f"{unit.PREFIX}*"))):
        if os.path.isfile(path) and f"[{unit.SECTION}]" in (files.read_text(path) or ""):
            yield f"units/{os.path.basename(path)}", _reader(path)
    for pattern in _RECORDS:
        for path in sorted(glob.glob(tree.path(pattern))):
            yield f"root/{os.path.relpath(path, tree.root)}", _reader(path)
    yield "root/links.txt", lambda: "".join(f"{name} -> {_link(tree, name)}\n" for name in ("current", "previous"))
    for name in manager.managed():
        yield f"instances/{name}.json", _looker(tree, manager, name)
        yield f"logs/{name}.log", _logger(manager, name, lines)
    if manager.kind == "systemd" and tree.system:
        beside = ["--unit=llama-watchdog@*", "--unit=llama-front", "--unit=llama-gpu-ready", f"--lines={lines}"]
        yield "logs/beside.log", _command(["journalctl", "--no-pager", "--quiet", *beside])
    yield "host/driver.log", lambda: driver(lines)
    yield "host/system.txt", _reader("/etc/os-release")
    for name, argv in _ASKED.items():
        if shutil.which(argv[0]):
            yield name, _command(argv)


def driver(lines: int) -> str:
    """What the kernel said about GPUs, memory and us."""
    asked = ["journalctl", "--dmesg", "--no-pager", "--quiet", "--output=short-iso", "--lines=20000"]
    said = run(asked if shutil.which("journalctl") else ["dmesg"], check=False, timeout=30).stdout
    return "".join(f"{line}\n" for line in [line for line in said.splitlines() if _DRIVER.search(line)][-lines:])


def packed(texts: dict[str, str]) -> bytes:
    """Texts as a tar.gz that only its owner unpacks readable."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name in sorted(texts):
            data = texts[name].encode("utf-8", "replace")
            member = tarfile.TarInfo(f"llama-support/{name}")
            member.size, member.mode = len(data), 0o600
            tar.addfile(member, io.BytesIO(data))
    return archive.getvalue()


def _tried(text: Text) -> str:
    """One text; what cannot be had must not cost the others."""
    try:
        return text()
    except (LlamaOpsError, OSError, ValueError, KeyError, TypeError) as exc:
        return f"(not available: {type(exc).__name__}: {exc})\n"


def _reader(path: str) -> Text:
    return lambda: files.read_text(path) or ""


def _looker(tree: Tree, manager: Manager, name: str) -> Text:
    return lambda: json.dumps(_known(tree, manager, name), indent=2, sort_keys=True) + "\n"


def _known(tree: Tree, manager: Manager, name: str) -> dict[str, Any]:
    known = overview.look(tree, manager, name)
    return known if known["active"] else {**known, "why": logs.why(manager, name)}


def _logger(manager: Manager, name: str, lines: int) -> Text:
    return lambda: "\n".join(manager.recent(name, lines, logs.EVER)) + "\n"


def _command(argv: list[str]) -> Text:
    return lambda: run(argv, check=False, timeout=30).stdout


def _link(tree: Tree, name: str) -> str:
    path = tree.path(name)
    return os.readlink(path) if os.path.islink(path) else "(none)"
