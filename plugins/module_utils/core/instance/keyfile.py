# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file with the API keys of an instance: what stands in it."""

from __future__ import annotations

import dataclasses
import os
import re
import stat
from collections.abc import Mapping, Sequence

from .. import files
from ..errors import InvalidInput
from . import unit
from .definition import Instance

_FLAGS = {"--api-key": False, "--api-key-file": True}  # whether the value is a file
_LARGEST = 1 << 16  # bytes of a file with keys
_VARIABLES = {"LLAMA_API_KEY": False, "LLAMA_ARG_API_KEY_FILE": True}


def key_text(instance: Instance, keys: Mapping[str, str]) -> str:
    """The content of the key file of an instance: one key a line, as llama-server reads it.

    :raises InvalidInput: a named key has no value, or one that the file cannot hold.
    """
    lines = []
    for name in instance.keys:
        value = keys.get(name)
        if value is None:
            raise InvalidInput(
                f"Instance {instance.name!r} names the key {name!r}, which has no value.",
                f"Known keys: {', '.join(sorted(keys)) or 'none'}. Give it in llama_keys.",
            )
        if not re.fullmatch(r"[!-~]{8,512}", value) or value.startswith("#"):
            raise InvalidInput(
                f"The key {name!r} cannot be used.",
                "A key has 8 to 512 printable ASCII characters without blanks and does not start with '#'.",
            )
        lines.append(value)
    return "".join(line + "\n" for line in lines)


def of_process(argv: Sequence[str], environ: Mapping[str, str], folder: str, uid: int) -> list[str]:
    """The keys that open a server which somebody started.

    :param folder: where its relative paths start from.
    :param uid: its user, whose own files are read alone: root must not read others for whoever names them.
    """
    given = [(_FLAGS[flag], value) for flag, value in zip(argv, argv[1:]) if flag in _FLAGS]
    given += [(_VARIABLES[name], environ[name]) for name in _VARIABLES if environ.get(name)]
    found: list[str] = []
    for is_file, value in given:
        words = _lines(os.path.join(folder, value), uid) if is_file else value.split(",")
        found += [word.strip() for word in words if word.strip()]
    return list(dict.fromkeys(found))


def _lines(path: str, uid: int) -> list[str]:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return []
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode) or uid not in (about.st_uid, os.geteuid()):
            return []
        return file.read(_LARGEST).decode("utf-8", "replace").splitlines()


def text_of(instance: Instance, found: Sequence[str]) -> str | None:
    """The content of the key file that opens an instance with these keys; None when there is none.

    :raises InvalidInput: a key cannot stand in the file.
    """
    named = {f"key-{number}": value for number, value in enumerate(found)}
    return key_text(dataclasses.replace(instance, keys=tuple(named)), named) or None


def credential(name: str, hardening: str) -> str | None:
    """The key file as systemd gave it to a service that runs."""
    return files.read_text(unit.credential_path(name)) if hardening == "system" else None
