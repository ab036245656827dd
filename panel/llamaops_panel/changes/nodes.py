# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts in YAML with the place of every value, so that one value can be changed and every other letter stays. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput

_NODES = 200_000  # with those that aliases repeat


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Plain data; a value with a tag of its own (such as !vault) becomes a text that says so."""


_Loader.add_multi_constructor("!", lambda _loader, suffix, _node: f"(!{suffix})")


def compose(text: str, where: str) -> Any:
    """The root node; None for an empty text.

    :raises InvalidInput: it is no YAML, or it repeats itself without end.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
        if sum(1 for _node in _walk(root, 0)) >= _NODES:
            raise InvalidInput(f"{where} is too large.", "Split it.")
    except (yaml.YAMLError, RecursionError) as exc:
        mark = getattr(exc, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise InvalidInput(f"{where}{place}: this is no YAML.", "Mend it by hand.") from exc
    return root


def _walk(node: Any, depth: int) -> Iterator[Any]:
    todo, count = [node] if node else [], 0
    while todo and count < _NODES:
        found, count = todo.pop(), count + 1
        yield found
        if isinstance(found, yaml.MappingNode):
            todo += [part for pair in found.value for part in pair]
        elif isinstance(found, yaml.SequenceNode):
            todo += found.value


def value(node: Any) -> Any:
    """The data of a node."""
    loader = _Loader("")
    try:
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError, TypeError) as exc:
        raise InvalidInput(f"A value in line {node.start_mark.line + 1} cannot be read.", "Mend it by hand.") from exc
    finally:
        loader.dispose()


def pairs(node: Any) -> dict[str, tuple[Any, Any]]:
    """The keys of a mapping, each with the nodes of key and value; empty for anything else."""
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {str(key.value): (key, item) for key, item in node.value if isinstance(key, yaml.ScalarNode)}


def line(node: Any) -> int:
    """Counted from 1."""
    return int(node.start_mark.line) + 1


def set_fields(text: str, entry: Any, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """The text with the fields of one entry as they shall be; what does not differ keeps every letter."""
    known = pairs(entry)
    edits = []
    for key in before:
        if key not in after:
            edits.append(_removal(text, entry, key))
        elif before[key] != after[key]:
            item = known[key][1]
            start, end = item.start_mark.index, _end(text, item)
            if isinstance(item, (yaml.MappingNode, yaml.SequenceNode)) and not item.flow_style:
                start = known[key][0].end_mark.index + 1
                edits.append((start, end, f" {inline(after[key])}"))
            else:
                edits.append((start, end, inline(after[key])))
    new = {key: after[key] for key in after if key not in before}
    if new:
        edits.append(_addition(text, entry, new))
    return _apply(text, edits)


def remove(text: str, table: Any, name: str) -> str:
    """The text without one entry of a mapping."""
    if len(table.value) == 1:
        key_end = table.start_mark.index
        if table.flow_style:
            return _apply(text, [(key_end, _end(text, table), "{}")])
        start = text.rindex(":", 0, key_end) + 1
        return _apply(text, [(start, _end(text, table), " {}")])
    return _apply(text, [_removal(text, table, name)])


def inline(found: Any) -> str:
    """A value as it may stand behind a key, in one line."""
    dumped = yaml.safe_dump(found, default_flow_style=True, width=1 << 30, allow_unicode=True, sort_keys=False).strip()
    dumped = dumped.removesuffix("...").strip()
    return dumped if "\n" not in dumped else json.dumps(found)


def _removal(text: str, table: Any, name: str) -> tuple[int, int, str]:
    names = list(pairs(table))
    at = names.index(name)
    key, item = pairs(table)[name]
    start, end = key.start_mark.index, _end(text, item)
    if table.flow_style:
        if at + 1 < len(names):
            return start, pairs(table)[names[at + 1]][0].start_mark.index, ""
        before = _end(text, pairs(table)[names[at - 1]][1]) if at else start
        return before, end, ""
    if at == 0 and text[:start].rpartition("\n")[2].strip():  # "- name: x": the line begins with something else
        return start, pairs(table)[names[1]][0].start_mark.index if len(names) > 1 else end, ""
    first = text.rfind("\n", 0, start) + 1
    after = text.find("\n", end)
    return first, len(text) if after < 0 else after + 1, ""


def _addition(text: str, entry: Any, new: Mapping[str, Any]) -> tuple[int, int, str]:
    last = entry.value[-1][1] if entry.value else None
    if entry.flow_style or last is None:
        words = ", ".join(f"{key}: {inline(item)}" for key, item in new.items())
        if last is None:
            return entry.start_mark.index, _end(text, entry), f"{{{words}}}"
        end = _end(text, last)
        return end, end, f", {words}"
    column = entry.value[0][0].start_mark.column
    end = text.find("\n", _end(text, last))
    end = len(text) if end < 0 else end
    return end, end, "".join(f"\n{' ' * column}{key}: {inline(item)}" for key, item in new.items())


def _end(text: str, node: Any) -> int:
    """Where a value ends; the marks of blocks stand behind the comments and blank lines that follow."""
    if isinstance(node, (yaml.MappingNode, yaml.SequenceNode)) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    found = int(node.end_mark.index)
    return len(text[:found].rstrip()) if getattr(node, "style", None) in ("|", ">") else found


def _apply(text: str, edits: list[tuple[int, int, str]]) -> str:
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text
