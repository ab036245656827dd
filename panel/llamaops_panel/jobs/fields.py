# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operation may be given: fields with types, checked before anything is run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.names import check_keys

_TEMPLATE = re.compile(r"\{\{|\{%|\{#")
_LIMIT = 64 << 10  # characters of all texts of one job together
_DEPTH = 8
Kind = str  # text, number, switch, choice, names, list, table


@dataclass(frozen=True)
class Field:
    """One input of an operation. `variable` is the extra variable of the playbook that it becomes."""

    name: str
    kind: Kind
    title: str
    help: str = ""
    variable: str = ""
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """For the API and for forms."""
        found = {key: getattr(self, key) for key in ("name", "kind", "title", "help", "required", "default")}
        return {**found, "choices": list(self.choices), "variable": self.variable}


def check(where: str, fields: Sequence[Field], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values as the playbook takes them; those that are None or empty count as not given.

    :raises InvalidInput: names the field, what was found and what is possible.
    """
    check_keys(where, given, [field.name for field in fields])
    plain(where, given)
    found = {name: value for name, value in given.items() if value is not None and value != "" and value != []}
    for field in fields:
        if field.name in found:
            found[field.name] = _value(f"{where}: {field.name}", field, found[field.name])
        elif field.required:
            raise InvalidInput(f"{where} needs {field.name}: {field.help or field.title}.")
    return found


def plain(where: str, value: Any) -> None:
    """Insist on data that no template engine would run, of a bounded size.

    :raises InvalidInput: a text holds a template or a control character, or it is too large or too deep.
    """
    if _weigh(where, value, 0) > _LIMIT:
        raise InvalidInput(
            f"{where} was given more than {_LIMIT} characters.", "Put long texts into files of the host."
        )


def _weigh(where: str, value: Any, depth: int) -> int:
    if depth > _DEPTH:
        raise InvalidInput(f"{where}: the values are nested too deeply.")
    if isinstance(value, str):
        if _TEMPLATE.search(value):
            raise InvalidInput(
                f"{where}: {value[:60]!r} holds a template, which would run on the controller.",
                "Templates belong into files of the inventory; a chat template goes into chat_template_file.",
            )
        if not value.isprintable():
            raise InvalidInput(f"{where}: {value[:60]!r} must be one line without control characters.")
        return len(value)
    if isinstance(value, Mapping):
        return sum(_weigh(where, key, depth + 1) + _weigh(where, item, depth + 1) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return sum(_weigh(where, item, depth + 1) for item in value)
    if value is not None and not isinstance(value, (bool, int, float)):
        raise InvalidInput(f"{where}: {type(value).__name__} is no kind of value that a playbook takes.")
    return 8


def _value(where: str, field: Field, value: Any) -> Any:
    wanted = {"number": (int, float), "switch": bool, "table": Mapping, "list": (list, tuple), "names": (list, tuple)}
    if field.kind in ("list", "names") and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if field.kind == "number" and isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,15}", value):
        value = int(value)
    expected: Any = wanted.get(field.kind, str)
    if not isinstance(value, expected) or (field.kind == "number" and isinstance(value, bool)):
        raise InvalidInput(f"{where} must be a {field.kind}, not {value!r}.")
    if field.kind == "choice" and value not in field.choices:
        raise InvalidInput(f"{where} cannot be {value!r}.", f"Possible: {', '.join(field.choices)}.")
    if field.kind == "names" and not all(isinstance(item, str) and "," not in item for item in value):
        raise InvalidInput(f"{where} must be a list of names, not {value!r}.")
    return list(value) if isinstance(value, tuple) else value
