# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the entries of instances stand in the operator's files: which file, which line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import LlamaOpsError

from . import nodes, places

VARIABLE = re.compile(r"llama_instances(__[a-z0-9_]+)?")
_ENDS = (".yml", ".yaml", ".json", "")
_FILES = 2000
_SIZE = 1 << 20


@dataclass(frozen=True)
class Found:
    """One entry in a file: `table` is the dictionary of instances it stands in, `entry` its own node."""

    file: Path
    text: str
    variable: str
    name: str
    table: Any
    entry: Any

    @property
    def line(self) -> int:
        return nodes.line(nodes.pairs(self.table)[self.name][0])


def find(inventory: Sequence[str], project: Path, host: str, groups: Sequence[str]) -> list[Found]:
    """All entries that may count for a host, those that win last. Files that cannot be read have none."""
    scopes = ["all", *(group for group in groups if group != "all")]
    found: list[Found] = []
    for source in (project / each for each in inventory if "," not in str(each)):
        for file in _inventory_files(source):
            found += _of_inventory(file, host, scopes)
        beside = source if source.is_dir() else source.parent
        for scope in scopes:
            for file in _variable_files(beside / "group_vars", scope):
                found += _of_variables(file)
        for file in _variable_files(beside / "host_vars", host):
            if file.name != places.FILE:
                found += _of_variables(file)
    return found


def _inventory_files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
    elif source.is_dir():
        for file in sorted(source.iterdir())[:_FILES]:
            if file.is_file() and not file.name.startswith("."):
                yield file


def _variable_files(folder: Path, name: str) -> Iterator[Path]:
    """What Ansible reads for a group or a host: the folder, or else the first file of that name."""
    if not name or "/" in name or name in (".", ".."):
        return
    if (folder / name).is_dir():
        for file in sorted((folder / name).rglob("*"))[:_FILES]:
            if file.is_file() and file.suffix in _ENDS and not any(part.startswith(".") for part in file.parts[-2:]):
                yield file
        return
    for end in ("", *_ENDS[:3]):
        if (folder / f"{name}{end}").is_file():
            yield folder / f"{name}{end}"
            return


def _read(file: Path) -> tuple[str, Any]:
    try:
        text = file.read_text(encoding="utf-8") if file.stat().st_size <= _SIZE else ""
        return text, nodes.compose(text, str(file))
    except (OSError, UnicodeDecodeError, LlamaOpsError):
        return "", None


def _of_variables(file: Path) -> list[Found]:
    text, root = _read(file)
    return list(_entries(file, text, root))


def _of_inventory(file: Path, host: str, scopes: Sequence[str]) -> list[Found]:
    """Entries among the variables of groups and hosts of an inventory in YAML; the host's own last."""
    if file.suffix not in (".yml", ".yaml", ".json"):
        return []
    text, root = _read(file)
    of_groups: list[Found] = []
    of_host: list[Found] = []
    todo = [(name, node) for name, (_key, node) in nodes.pairs(root).items()]
    while todo:
        name, node = todo.pop(0)
        parts = nodes.pairs(node)
        if name in scopes and "vars" in parts:
            of_groups += _entries(file, text, parts["vars"][1])
        if "hosts" in parts:
            own = nodes.pairs(parts["hosts"][1]).get(host)
            of_host += _entries(file, text, own[1]) if own else []
        if "children" in parts:
            todo += [(child, part) for child, (_key, part) in nodes.pairs(parts["children"][1]).items()]
    return of_groups + of_host


def _entries(file: Path, text: str, node: Any) -> Iterator[Found]:
    for variable, (_key, table) in nodes.pairs(node).items():
        if VARIABLE.fullmatch(variable):
            for name, (_name, entry) in nodes.pairs(table).items():
                yield Found(file, text, variable, name, table, entry)
