# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The entry of an inventory that gives the same server as a process that somebody started."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InvalidInput
from ..host import process
from ..host.process import ServerProcess
from . import paste, reconcile, shellwords
from .paste import Parsed

# variables that llama.cpp and its backends read; the rest of an environment is that of somebody's shell
_READ = re.compile(r"(LLAMA|GGML|CUDA|HIP|ROCR|HSA|ONEAPI|SYCL|VK|OMP|GOMP)_")
_SUBCOMMANDS = ("serve", "server")
_FILES = ("mmproj", "chat_template_file")
_COUNTED = "counts cards"  # of the notes of `paste`, that devices are given by number


def entry(found: ServerProcess, document: Mapping[str, Any], facts: Mapping[str, Any]) -> Parsed:
    """The entry for a process that runs: paths absolute, devices by id, keys by name.

    :param document: the capability document of the build that the instance shall use.
    :param facts: the devices of the host, as `gpu.read` gives them; empty where there is none.
    :raises InvalidInput: that build does not take its command.
    """
    environ = process.environment(found.pid)
    parsed = read(found.argv, environ, document)
    _absolute(parsed, process.working_folder(found.pid))
    _devices(parsed, found.pid, environ, facts)
    parsed.entry["adopt"] = True
    return parsed


def read(argv: Sequence[str], environ: Mapping[str, str], document: Mapping[str, Any]) -> Parsed:
    """The entry as the command alone says it.

    :raises InvalidInput: the build does not take it.
    """
    arguments = list(argv[2:] if len(argv) > 1 and argv[1] in _SUBCOMMANDS else argv[1:])
    if any(not word.isprintable() for word in arguments):
        raise InvalidInput("Its command line holds a line break or a control character.")
    known = {name: value for name, value in environ.items() if _READ.match(name) and value.isprintable()}
    return paste.understand(shellwords.Words(known, arguments), document)


def _absolute(parsed: Parsed, folder: str | None) -> None:
    """Complete relative paths by the folder the process works in."""
    if folder is None:
        parsed.notes.append("Its working folder may not be seen: make relative paths absolute.")
        return

    def full(value: Any, surely: bool = False) -> Any:
        if not isinstance(value, str) or value.startswith("/"):
            return value
        path = os.path.normpath(os.path.join(folder, value))
        return path if surely or os.path.isfile(path) else value

    found = parsed.entry
    if "model" in found:  # else it is a reference to a repository
        found["model"] = full(found["model"], surely=str(found["model"]).endswith(".gguf"))
    found.update({key: full(found[key], surely=True) for key in _FILES if key in found})
    if "lora" in found:
        found["lora"] = [
            {**item, "file": full(item["file"], True)} if isinstance(item, dict) else full(item, True)
            for item in found["lora"]
        ]
    for part in ("tls", "options", "spec"):
        if isinstance(found.get(part), dict):
            found[part] = {key: full(value, surely=part == "tls") for key, value in found[part].items()}


def _devices(parsed: Parsed, pid: int, environ: Mapping[str, str], facts: Mapping[str, Any]) -> None:
    """Name the devices that the driver shows it on; by its own numbers where the driver does not tell."""
    there = list(facts.get("devices") or ())
    if not there or "devices" in parsed.entry:
        return
    told = reconcile.processes(facts)
    used = [name for name, users in told.items() if pid in users]
    if used or len(told) >= len(there):
        parsed.entry["devices"] = used or "none"
        parsed.notes[:] = [note for note in parsed.notes if _COUNTED not in note]
        return
    numbers = environ.get("CUDA_VISIBLE_DEVICES") or ""
    by_index = {str(item.get("index")): str(item["id"]) for item in there if item.get("backend") == "cuda"}
    if numbers and all(number in by_index for number in numbers.split(",")):
        parsed.entry["devices"] = [by_index[number] for number in numbers.split(",")]
        parsed.notes[:] = [note for note in parsed.notes if _COUNTED not in note]
        if environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID" and len(by_index) > 1:
            parsed.notes.append("devices: CUDA counts the fastest GPU first unless told otherwise; check them.")
