# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what people paste, a shell command or a systemd unit, to environment and arguments.

Nothing is run or expanded. No message repeats what was pasted beyond the names of flags and programs, for it may hold a
key.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..errors import InvalidInput

LARGEST = 1 << 16
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_BEFORE = ("exec", "nohup", "sudo", "env")
_SUBCOMMANDS = ("serve", "server")
_MARKS = {char: chr(0xE000 + number) for number, char in enumerate(";|&<>")}  # of Unicode's area for private use
_OUT, _AND = _MARKS[">"], _MARKS["&"]
_REDIRECTION = re.compile(rf"[0-9]*{_AND}?{_OUT}{{1,2}}({_AND}?[^{_OUT}{_AND}]+)?", re.DOTALL)


@dataclass(frozen=True)
class Words:
    """A command as pasted: environment, and the arguments after the program."""

    env: dict[str, str] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)


def read(text: str) -> Words:
    """Read one command of llama-server.

    :raises InvalidInput: it is no such command, or more than one.
    """
    if len(text) > LARGEST:
        raise InvalidInput(f"The text has {len(text)} characters; at most {LARGEST} are read.")
    joined = re.sub(r"\\\r?\n", " ", text)
    unit = re.search(r"^\s*ExecStart\s*=", joined, re.MULTILINE)
    if not all(char.isprintable() or char in "\r\n\t" for char in joined):
        raise InvalidInput("The text holds a control character.")
    words = _of_unit(joined) if unit else _split(_marked(joined))
    if any(set(word) & set("\r\n\t") for word in words):
        raise InvalidInput("The command holds a line break or a control character inside a value.")
    env: dict[str, str] = {}
    while words:
        found = _ASSIGNMENT.fullmatch(words[0])
        if found:
            env[found[1]] = found[2]
        elif words[0].rpartition("/")[2] not in _BEFORE:
            break
        words = words[1:]
    return Words(env, _after_program(words))


def _of_unit(text: str) -> list[str]:
    """Assignments and command of a unit (systemd.service(5), systemd.exec(5))."""
    words: list[str] = []
    commands: list[list[str]] = []
    for line in text.splitlines():
        key, _equals, value = line.strip().partition("=")
        if key.strip() == "Environment":
            words += _split(value.replace("%%", "%"))
        elif key.strip() == "ExecStart" and value.strip():
            commands.append(_split(value.strip().lstrip("@-:+!").replace("%%", "%").replace("$$", "$")))
    if len(commands) != 1:
        raise InvalidInput(f"The unit has {len(commands)} commands in ExecStart=; one is needed.")
    return words + commands[0]


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=False)
    except ValueError as exc:
        raise InvalidInput(f"The text cannot be taken apart: {str(exc).lower()}.", "Check its quotes.") from None


def _after_program(words: Sequence[str]) -> list[str]:
    name = words[0].rpartition("/")[2] if words else ""
    rest = list(words[1:])
    if name == "llama" and rest and rest[0] in _SUBCOMMANDS:
        rest = rest[1:]
    elif name != "llama-server":
        raise InvalidInput(
            "The text is no command of llama-server.", "Paste a line such as: llama-server -m model.gguf --port 8080"
        )
    return _without_redirections(rest)


def _marked(text: str) -> str:
    """The text with every operator of the shell that stands outside of quotes replaced by a mark."""
    found, quote, escaped = [], "", False
    for char in text:
        plain = not escaped and not quote
        if escaped:
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif char in "'\"" and quote in ("", char):
            quote = "" if quote else char
        found.append(_MARKS.get(char, char) if plain else char)
    return "".join(found)


def _without_redirections(words: list[str]) -> list[str]:
    """Where output goes is the business of the service manager; everything else that a shell would do is refused."""
    kept: list[str] = []
    words = words[:-1] if words and words[-1] == _MARKS["&"] else words
    skip = False
    for word in words:
        if skip:
            skip = False
        elif _REDIRECTION.fullmatch(word):
            skip = word[-1] == _MARKS[">"]
        elif set(word) & set(_MARKS.values()):
            raise InvalidInput("The text holds more than one command.", "Paste one command of llama-server alone.")
        else:
            kept.append(word)
    return kept
