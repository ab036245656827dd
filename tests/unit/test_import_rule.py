# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The layout rule: playbooks -> roles -> modules -> adapter -> core, and the core stands alone."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
CORE = sorted((PLUGINS / "module_utils" / "core").glob("*.py"))
ADAPTER = sorted((PLUGINS / "module_utils" / "adapter").glob("*.py"))
MODULES = sorted((PLUGINS / "modules").glob("*.py"))
UTILS = "ansible_collections.llamaops.llama_cpp.plugins.module_utils"
CORE_LINES = 300
MAIN_LINES = 25


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(tree: ast.AST) -> list[str]:
    """Every import below a node, relative ones with their dots."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append("." * node.level + (node.module or ""))
    return found


def at_import_time(tree: ast.Module) -> list[str]:
    """The imports that run when the file is imported: all but those inside of functions."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        visit_AsyncFunctionDef = visit_FunctionDef

    return imports(Strip().visit(tree))


def by_name(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=[path.name for path in paths])


@by_name(CORE)
def test_core_needs_the_standard_library_only(path: Path) -> None:
    foreign = [
        name
        for name in at_import_time(parsed(path))
        if not name.startswith(".") and name.split(".")[0] not in sys.stdlib_module_names
    ]
    assert foreign == []


@by_name(CORE)
def test_core_stays_within_itself(path: Path) -> None:
    outside = [name for name in imports(parsed(path)) if name.startswith(("..", "ansible"))]
    assert outside == []


@by_name(CORE)
def test_a_core_file_is_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= CORE_LINES


def test_the_probe_stands_alone() -> None:
    assert [name for name in imports(parsed(PLUGINS / "module_utils/core/probe.py")) if name.startswith(".")] == []


@by_name(ADAPTER)
def test_the_adapter_knows_ansible_and_the_core(path: Path) -> None:
    allowed = re.compile(r"ansible\.module_utils\.|\.\.core\b|\.\w")
    foreign = [
        name
        for name in imports(parsed(path))
        if name.split(".")[0] not in sys.stdlib_module_names and not allowed.match(name)
    ]
    assert foreign == []


@by_name(MODULES)
def test_a_module_goes_through_the_adapter(path: Path) -> None:
    allowed = ("ansible.module_utils.basic", f"{UTILS}.adapter", "__future__")
    assert [name for name in imports(parsed(path)) if not name.startswith(allowed)] == []


@by_name(MODULES)
def test_main_only_composes(path: Path) -> None:
    mains = [node for node in parsed(path).body if isinstance(node, ast.FunctionDef) and node.name == "main"]
    assert [main.end_lineno - main.lineno + 1 <= MAIN_LINES for main in mains] == [True]


def test_the_rule_sees_something() -> None:
    assert len(CORE) > 10 and ADAPTER and MODULES
