# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table `options` of an instance becomes arguments, checked against what its build accepts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

from ..build.capabilities import Capabilities, Option
from ..errors import InvalidInput
from ..names import did_you_mean
from . import firstknown

# The tables name flags by their canonical spelling in the recorded help; a test tells when upstream renames one.

# flags that a field of the instance stands for
OWNED = {
    "--host": "bind",
    "--port": "port",
    "--reuse-port": "port",
    "--api-key": "keys",
    "--api-key-file": "keys",
    "--ssl-key-file": "tls",
    "--ssl-cert-file": "tls",
    "--model": "model",
    "--models-dir": "kind",
    "--models-preset": "kind",
    "--device": "devices",
    "--rpc": "rpc",
    "--fit": "plan",
    "--fit-target": "plan",
    "--fit-ctx": "plan",
}
# flags that every instance gets in one way, so that its log can be read
FIXED = {
    "--log-disable",
    "--log-file",
    "--log-jsonl",
    "--log-colors",
    "--log-prefix",
    "--log-timestamps",
    "--verbose",
    "--verbosity",
}
# flags that make a server download; besides, all that say so in their help
REMOTE = {
    "--model-url",
    "--docker-repo",
    "--hf-repo",
    "--hf-file",
    "--hf-token",
    "--mmproj-url",
    "--spec-draft-hf",
}
# flags that print something and end the program
PROBES = {"--help", "--version", "--cache-list", "--list-devices", "--completion-bash"}
# flags that give clients of the server more than answers
DANGEROUS = {
    "--tools": "lets clients run built-in tools, a shell among them, on the host",
    "--tools-runtime": "chooses where the tools of clients run",
    "--agent": "lets clients run all built-in tools on the host",
    "--mcp-servers-config": "starts other programs for clients",
    "--mcp-servers-json": "starts other programs for clients",
    "--ui-mcp-proxy": "relays requests of browsers to other hosts",
    "--media-path": "lets clients read files of a folder",
    "--path": "serves the files of a folder",
    "--slot-save-path": "lets clients write and read files in a folder",
    "--log-prompts-dir": "writes what clients ask to files",
}

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_LARGEST = 1 << 64


def resolve(
    capabilities: Mapping[str, Any],
    options: Mapping[str, Any],
    allow_unsafe: Collection[str] = (),
    fields: Mapping[str, str] | None = None,
) -> list[str]:
    """The arguments that `options` stands for, sorted by flag.

    :param capabilities: the capability document of the build the instance uses.
    :param options: any spelling of a flag -> boolean, number, text, list or None (no argument).
    :param allow_unsafe: dangerous flags that may be used, in any spelling.
    :param fields: further flags that fields of the instance stand for -> the name of the field.
    :raises InvalidInput: names the option, what is wrong with it and what helps.
    """
    known = Capabilities(capabilities)
    allowed = {_dangerous_flag(known, word) for word in allow_unsafe}
    owned = {**OWNED, **(fields or {})}
    spelled: dict[str, str] = {}
    arguments: dict[str, list[str]] = {}
    for key, value in options.items():
        found = known.find(key) if isinstance(key, str) else None
        if found is None and value is None:
            continue  # removes a default that is meant for other builds
        if found is None:
            raise _unknown(known, key)
        option, sets = found
        if option.name in spelled:
            raise InvalidInput(
                f"options: {spelled[option.name]} and {key} are both {option.name}.", "Keep one of them."
            )
        spelled[option.name] = key
        if value is None:
            continue
        _check_use(option, key, owned)
        switched_off = isinstance(value, bool) and value != sets
        if not switched_off:
            _check_danger(option, key, allowed)
        arguments[option.name] = _render(option, sets, key, value)
    return [word for flag in sorted(arguments) for word in arguments[flag]]


def arguments(known: Capabilities, wanted: Mapping[str, Any], build_id: str) -> list[str]:
    """The arguments of what fields of an instance ask for, in their order; None asks for nothing.

    :param wanted: flag without dashes -> value.
    :raises InvalidInput: the build lacks the flag, or does not take the value.
    """
    words: list[str] = []
    for flag, value in wanted.items():
        if value is None:
            continue
        found = known.find(flag)
        if found is None or found[0].removed is not None:
            raise InvalidInput(f"The build {build_id} has no flag --{flag}.", firstknown.hint(f"--{flag}"))
        words += _render(*found, flag, value)
    return words


def _check_use(option: Option, key: str, owned: Mapping[str, str]) -> None:
    spellings = {*option.names, *option.negative}
    field = next((owned[flag] for flag in owned if flag in spellings), None)
    if field:
        raise InvalidInput(f"options: {key} is what the field {field} of an instance sets.", f"Use {field}.")
    if spellings & FIXED:
        raise InvalidInput(f"options: {key} is the same for every instance.", "Leave it out.")
    if option.downloads or spellings & REMOTE:
        raise InvalidInput(
            f"options: {key} makes the server download when it starts.",
            "Fetch the file beforehand with the module gguf_model and name it in the instance.",
        )
    if spellings & PROBES:
        raise InvalidInput(f"options: {key} makes the server print something and end.", "Leave it out.")
    if option.removed is not None:
        raise InvalidInput(
            f"options: {key} was removed from llama.cpp.", f"Upstream says: {option.removed or 'nothing'}."
        )


def _check_danger(option: Option, key: str, allowed: Collection[str]) -> None:
    flag = next((name for name in option.names if name in DANGEROUS), None)
    if flag and flag not in allowed:
        word = flag[2:].replace("-", "_")
        raise InvalidInput(
            f"options: {key} {DANGEROUS[flag]}.", f"If every client may have that, add {word} to allow_unsafe."
        )


def _dangerous_flag(known: Capabilities, word: str) -> str:
    found = known.find(word)
    names = found[0].names if found else ["--" + word.lstrip("-").replace("_", "-")]
    flag = next((name for name in names if name in DANGEROUS), None)
    if flag is None:
        words = [name[2:].replace("-", "_") for name in DANGEROUS]
        raise InvalidInput(f"allow_unsafe: {word!r} is no unsafe option.", f"Known are: {', '.join(sorted(words))}.")
    return flag


def _unknown(known: Capabilities, key: object) -> InvalidInput:
    words = [name[2:].replace("-", "_") for option in known.options for name in option.names if name.startswith("--")]
    word = str(key)[:60]
    hint = did_you_mean(word.lstrip("-").replace("-", "_"), words)
    return InvalidInput(
        f"options: llama.cpp {known.version} has no option {word!r}.",
        f"{hint} If a newer llama.cpp has it, build that with llama_build.".strip(),
    )


def _render(option: Option, sets: bool, key: str, value: object) -> list[str]:
    if isinstance(value, bool):
        return _switch(option, key, value == sets)
    if not option.takes:
        raise InvalidInput(f"options: {key} takes no value.", "Give true or false.")
    items = value if isinstance(value, (list, tuple)) else None
    words = [_word(option, key, item) for item in ([value] if items is None else items)]
    if option.takes > 1 or items is None:
        if len(words) != option.takes:
            raise InvalidInput(f"options: {key} needs {option.takes} values, not {len(words)}.", "Give a list.")
        return [option.name, *words]
    if not words:
        raise InvalidInput(f"options: {key} is an empty list.", "Leave it out, or give null to remove a default.")
    if option.accumulates:
        return [part for word in words for part in (option.name, word)]
    if option.separator is None:
        raise InvalidInput(f"options: {key} takes one value, not a list.")
    broken = next((word for word in words if option.separator in word), None)
    if broken is not None:
        raise InvalidInput(
            f"options: {key} has the item {broken!r}, which {option.separator!r} would take apart.",
            "Give the whole value as text.",
        )
    return [option.name, option.separator.join(words)]


def _switch(option: Option, key: str, on: bool) -> list[str]:
    if {"on", "off"} <= set(option.values or ()):
        return [option.name, "on" if on else "off"]
    if option.takes:
        raise InvalidInput(f"options: {key} needs a value, not true or false.", _choices(option))
    if on:
        return [option.name]
    off = [name for name in option.negative if name.startswith("--")]
    if not off:
        raise InvalidInput(f"options: {key} cannot be switched off; it is off unless given.", "Leave it out, or null.")
    return [off[0]]


def _word(option: Option, key: str, value: object) -> str:
    """One argument: a number or text that cannot be taken for anything else, among the accepted values."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise InvalidInput(f"options: {key} needs text or a number, not {type(value).__name__}.", _choices(option))
    word = value if isinstance(value, str) else _number(key, value)
    if not word:
        raise InvalidInput(f"options: {key} is empty.", "Leave it out, or give null to remove a default.")
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in word):
        raise InvalidInput(
            f"options: {key} has a line break or a control character.", "Put it into a file, if upstream takes one."
        )
    numeric = _NUMBER.fullmatch(word) is not None
    if word.startswith("-") and not numeric:
        raise InvalidInput(f"options: {key} begins with a dash: {word[:40]!r}.", "A value cannot look like a flag.")
    if option.values is None and not option.number:
        return word
    for part in word.split(option.separator) if option.separator else [word]:
        if part not in (option.values or ()) and not (option.number and numeric):
            raise InvalidInput(f"options: {key} cannot be {part[:40]!r}.", _choices(option))
    return word


def _number(key: str, value: float) -> str:
    """Decimal digits without an exponent: upstream's std::stoi would read 1e3 as 1."""
    if not abs(value) < _LARGEST:  # not a number compares as false
        raise InvalidInput(f"options: {key} is no number of a usable size.")
    return format(Decimal(repr(value)), "f")


def _choices(option: Option) -> str:
    words = [*(["a number"] if option.number else []), *(option.values or [])]
    return f"Give {' or '.join(words)}." if words else "Give its value as text or a number."
