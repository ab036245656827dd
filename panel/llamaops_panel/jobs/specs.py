# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields that say what the collection itself says, in the argument specifications of roles and options of modules."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.llamaops.llama_cpp.plugins.module_utils import core

from .fields import Field

COLLECTION = Path(str(core.__file__)).resolve().parents[3]
_MARKUP = re.compile(r"\b[VCOMEPIBU]\(((?:[^()]|\([^()]*\))*)\)")
_PREFIX = re.compile(r"llamaops\.llama_cpp\.|[a-z_]+#(module|role):")
_KINDS = {"int": "number", "float": "number", "bool": "switch", "list": "list", "dict": "table"}


def role(name: str, variable: str, field: str, **more: Any) -> Field:
    """The field for a variable of a role."""
    return _field(field, _role(name)[variable], {"variable": variable, **more})


def module(name: str, path: str, **more: Any) -> Field:
    """The field for an option of a module; suboptions are reached by dots."""
    first, *rest = path.split(".")
    option = _module(name)[first]
    for part in rest:
        option = option["suboptions"][part]
    return _field(path.rpartition(".")[2], option, more)


def _field(name: str, option: Mapping[str, Any], more: Mapping[str, Any]) -> Field:
    choices = tuple(str(each) for each in option.get("choices", ()))
    default = option.get("default")
    found = {
        "name": name,
        "kind": "choice" if choices else _KINDS.get(str(option.get("type", "str")), "text"),
        "title": name.replace("_", " ").capitalize(),
        "help": text(option.get("description", "")),
        "default": None if isinstance(default, str) and "{{" in default else default,
        "choices": choices,
    }
    return Field(**{**found, **more})


def text(description: Any) -> str:
    """Descriptions as people read them, without the markup of Ansible's documentation."""
    whole = " ".join(description) if isinstance(description, list) else str(description)
    return _MARKUP.sub(lambda found: _PREFIX.sub("", found.group(1)), whole)


@cache
def _role(name: str) -> Mapping[str, Any]:
    written = yaml.safe_load((COLLECTION / "roles" / name / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    found: Mapping[str, Any] = written["argument_specs"]["main"]["options"]
    return found


@cache
def _module(name: str) -> Mapping[str, Any]:
    tree = ast.parse((COLLECTION / "plugins" / "modules" / f"{name}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DOCUMENTATION":
            found: Mapping[str, Any] = yaml.safe_load(ast.literal_eval(node.value))["options"]
            return found
    raise LookupError(f"{name} has no documentation")
