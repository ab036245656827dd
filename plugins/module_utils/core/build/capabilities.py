# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a llama-server accepts, read from its own `--help` and `--version`.

The text is made by upstream's common/arg.cpp (`common_arg::to_string`): a flag line starts in column 1, its
description in column 41 or on the next line, positive spellings stand before negative ones, and
`(env: NAME)` closes an entry.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..command import Result
from ..errors import NotProven
from ..instance.logreason import clean, exit_meaning

SCHEMA = 1
_INDENT = 40
_LARGEST_TEXT = 1 << 20
_NEEDED = ("--model", "--port", "--ctx-size")

_VERSION = re.compile(r"^version: ([\w.+-]+) \(build (\d{1,9}), commit ([\w.-]+)\)", re.A | re.M)
_OLD_VERSION = re.compile(r"^version: (\d{1,9}) \(([\w.-]+)\)", re.A | re.M)
_SECTION = re.compile(r"-+ (.+?) params -+")
_SPELLING = re.compile(r"(--?[A-Za-z0-9][\w.-]*)(?:, *| |$)", re.A)
_PLACEHOLDER = re.compile(r"(?:<[^>]*>|[^\s<])+")
_WORDS = r"([\w.+-]+(?:[|,][\w.+-]+)+)"
_CHOICE = re.compile(rf"\[{_WORDS}\]|\{{{_WORDS}\}}|<{_WORDS}>|([a-z][a-z0-9+-]*(?:,[a-z][a-z0-9+-]*)+)", re.A)
_ENV = re.compile(r"\(env: (\w+)\)", re.A)
_BULLET = re.compile(r"- ([a-z0-9][a-z0-9_+.-]*)(?: \(default\))?:")
_DEFAULT = re.compile(r"\(default: ([a-z0-9_+.-]+)\)")
_REMOVED = "the argument has been removed"

# These are repeated, not comma-separated, and their help does not say so (common/arg.cpp: handlers that append
# their whole value).
_REPEATED = {"--reverse-prompt", "--logit-bias", "--dry-sequence-breaker"}


@dataclass(frozen=True)
class Option:
    """One option of a llama-server.

    :param name: the canonical spelling: the first long one.
    :param names: all spellings that set it, `negative` those that unset it.
    :param takes: how many arguments follow the flag.
    :param values: the words it accepts, None where anything goes.
    :param number: the argument is a number (or one of `values`).
    :param separator: what stands between the items of a list; None where one value is meant.
    :param accumulates: the flag is repeated to give several values.
    :param removed: upstream's advice where the flag is still listed but always refused.
    :param downloads: the flag stands for a model that upstream downloads.
    """

    name: str
    names: list[str]
    negative: list[str]
    values: list[str] | None
    takes: int
    number: bool
    separator: str | None
    accumulates: bool
    env: list[str]
    removed: str | None
    downloads: bool
    section: str


class Capabilities:
    """Finds options of a capability document by any spelling."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.version = str(document["version"])
        self.options = [Option(**entry) for entry in document["options"]]
        self._positive = {name: option for option in self.options for name in option.names}
        self._negative = {name: option for option in self.options for name in option.negative}

    def find(self, spelling: str) -> tuple[Option, bool] | None:
        """The option a spelling means, and whether the spelling sets it (False: it is a negative one).

        Leading dashes may be left out; `_` may stand for `-`. A long spelling wins over a short one.
        """
        word = spelling.lstrip("-").replace("_", "-")
        for flag in (f"--{word}", f"-{word}"):
            if flag in self._positive:
                return self._positive[flag], True
            if flag in self._negative:
                return self._negative[flag], False
        return None


def read(server: str, execute: Callable[[Sequence[str]], Result]) -> dict[str, Any]:
    """The capability document of the llama-server at path `server`; `execute` runs a command.

    :raises NotProven: it does not run, or does not answer as a llama-server does.
    """
    version, text = [_run(execute, [server, question]) for question in ("--version", "--help")]
    options = parse_help(text.stdout)
    kinds = [option.values for option in options if option.name == "--spec-type"]
    return {
        "schema": SCHEMA,
        **parse_version(version.stdout + "\n" + version.stderr),
        "options": [asdict(option) for option in options],
        "speculative": (kinds and kinds[0]) or [],
    }


def parse_version(text: str) -> dict[str, Any]:
    """`version`, `build_number` and `commit` from the answer to `--version`, in today's form or the older one.

    :raises NotProven: there is no version line.
    """
    found = _VERSION.search(text)
    if found:
        return {"version": found[1], "build_number": int(found[2]), "commit": found[3]}
    found = _OLD_VERSION.search(text)
    if found:
        return {"version": f"b{int(found[1])}", "build_number": int(found[1]), "commit": found[2]}
    raise NotProven("The program does not tell its version as llama-server does.")


def parse_help(text: str) -> list[Option]:
    """The options that the answer to `--help` lists, in its order.

    :raises NotProven: it is not the help of a llama-server.
    """
    if len(text) > _LARGEST_TEXT:
        raise NotProven(f"The help text has {len(text)} characters; at most {_LARGEST_TEXT} are read.")
    options = [_option(*entry) for entry in _entries(text)]
    known = {name for option in options for name in option.names}
    missing = [name for name in _NEEDED if name not in known]
    if missing:
        raise NotProven(
            f"The help text lists {len(options)} options and lacks {', '.join(missing)}.",
            "The program is not a llama-server, or one whose help this release cannot read.",
        )
    return options


def _run(execute: Callable[[Sequence[str]], Result], argv: list[str]) -> Result:
    result = execute(argv)
    if result.rc:
        said = clean(result.stderr[-600:])
        raise NotProven(f"{result.line}: {exit_meaning(result.rc)}." + (f" It said: {said}" if said else ""))
    return result


def _entries(text: str) -> Iterator[tuple[str, str, list[str]]]:
    """Section, flag part and lines of description of every entry."""
    section, head = "", ""
    lines: list[str] = []
    for line in text.split("\n"):
        if line.startswith(" "):
            lines.append(line[_INDENT:])
            continue
        if head:
            yield section, head, lines
        found = _SECTION.fullmatch(line)
        section, head, lines = (found[1] if found else section), "", []
        if _SPELLING.match(line):
            # common_arg::to_string leaves three blanks or begins a new line
            beside = line[_INDENT - 3 : _INDENT].isspace()
            head, lines = (line[:_INDENT].rstrip(), [line[_INDENT:]]) if beside else (line.rstrip(), [])
    if head:
        yield section, head, lines


def _option(section: str, head: str, lines: list[str]) -> Option:
    spellings, hint = _split_head(head)
    names, negative = _split_negative(spellings)
    name = next((spelling for spelling in names if spelling.startswith("--")), names[0])
    text = " ".join(lines)
    env = _ENV.findall(text)[-1:]
    if negative:
        env += [word.replace("LLAMA_ARG_", "LLAMA_ARG_NO_") for word in env if word.startswith("LLAMA_ARG_")]
    repeated = name in _REPEATED or "can be repeated" in text or "can be specified multiple times" in text
    return Option(
        name=name,
        names=names,
        negative=negative,
        values=_values(hint, lines, text),
        takes=len(_PLACEHOLDER.findall(hint)),
        number=hint == "N",
        separator=None if repeated else _separator(hint, text),
        accumulates=repeated,
        env=env,
        removed=clean(_ENV.sub("", text.split(_REMOVED, 1)[1]).lstrip(".")) if _REMOVED in text else None,
        downloads="download weights" in text,
        section=section,
    )


def _split_head(head: str) -> tuple[list[str], str]:
    """`-c,    --ctx-size N` -> (["-c", "--ctx-size"], "N")."""
    spellings: list[str] = []
    position, more = 0, True
    while more:
        found = _SPELLING.match(head, position)
        if not found:
            break
        spellings.append(found[1])
        position, more = found.end(), "," in found[0]
    return spellings, head[position:].strip()


def _split_negative(spellings: list[str]) -> tuple[list[str], list[str]]:
    """Negative spellings stand last, and one of them is `--no-…` beside a positive long one."""
    positive = [word for word in spellings if word.startswith("--") and not word.startswith("--no-")]
    if not positive or not any(word.startswith("--no-") for word in spellings):
        return spellings, []
    first = spellings.index(positive[-1]) + 1
    return spellings[:first], spellings[first:]


def _values(hint: str, lines: list[str], text: str) -> list[str] | None:
    """The words an option accepts: `[a|b]`, `{a,b}`, `<0|1>`, `a,b,c`, "allowed values: …" or a list of bullets."""
    found = _CHOICE.fullmatch(hint)
    if found and ".." not in hint:
        return re.split(r"[|,]", found[found.lastindex or 0])
    found = re.search(r"allowed values: ([\w.+-]+(?:, [\w.+-]+)*)", text)
    if found:
        return found[1].split(", ")
    if hint == "N":
        return re.findall(r"'([a-z]+)'", text) or None
    bullets = [match[1] for match in map(_BULLET.match, lines) if match]
    if not bullets:
        return None
    # upstream accepts the default of --reasoning-format and does not list it
    return bullets + [word for word in _DEFAULT.findall(text) if word not in bullets]


def _separator(hint: str, text: str) -> str | None:
    if "comma-separated" in text or re.search(r",\.\.", hint):
        return ","
    found = re.search(r"separated by '(.)'", text)
    return found[1] if found else None
