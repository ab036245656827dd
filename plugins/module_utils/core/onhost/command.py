# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`llama-host`: what runs on this host, for people in tables and for programs as JSON lines. It changes nothing.

llama-host status [--json]            instances, workers, servers that nobody manages
llama-host facts                      GPUs, memory, processors, as gpu_facts tells them
llama-host plan MODEL [KEY=VALUE...]  memory of every device, and the flags that fit
llama-host logs NAME [--lines N] [--since TIME] [--follow] [--json]
llama-host probe NAME                 have an instance give one real answer
llama-host watch                      all of it as it changes; requests on standard input
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import LlamaOpsError
from ..instance import service
from ..instance.service import Manager
from ..tree import Tree

_NEED_LIBRARIES, _LIBRARIES = ("watch", "facts", "plan"), ("psutil", "pynvml", "huggingface_hub")


def main(root: str, scope: str, manager: str, version: str, arguments: Sequence[str] | None = None) -> int:
    """Do what is asked; returns the exit status: 1 when an instance is not as it should be, 2 after an error.

    :param root: of the tree; scope and manager as llama_runtime was told them.
    """
    wanted = _parser(version).parse_args(arguments)
    tree = Tree(root, scope)
    if wanted.do in _NEED_LIBRARIES:
        _in_managed_environment(tree)
    try:
        return int(_DO[wanted.do](wanted, tree, service.choose(tree, manager), version))
    except LlamaOpsError as exc:
        sys.stderr.write(f"llama-host: {exc}\n")
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except KeyboardInterrupt:
        pass
    except OSError as exc:
        sys.stderr.write(f"llama-host: {exc.filename or 'the system'}: {exc.strerror or exc}.\n")
    return 2


def _parser(version: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="llama-host", description="What runs on this host. Changes nothing.")
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(dest="do", required=True, metavar="COMMAND")
    status = commands.add_parser("status", help="instances, workers, servers that nobody manages")
    commands.add_parser("facts", help="GPUs, memory and processors as JSON")
    commands.add_parser("watch", help="all of it as it changes, as JSON lines; requests on standard input")
    plan = commands.add_parser("plan", help="the memory that a model takes here, and the flags that fit")
    plan.add_argument("model", help="a model set of this host, a path, or owner/repo:quantisation")
    plan.add_argument("options", nargs="*", metavar="KEY=VALUE", help="for example ctx_size=32768")
    plan.add_argument("--allow", action="append", default=[], help="a rung of the ladder, see docs/planning.md")
    logs = commands.add_parser("logs", help="the log of an instance")
    logs.add_argument("name")
    logs.add_argument("--lines", type=int, default=100, help="-1 for all")
    logs.add_argument("--since", default="", help="a time such as '10 min ago'")
    logs.add_argument("--follow", action="store_true", help="go on with what comes")
    probe = commands.add_parser("probe", help="have an instance give one real answer")
    probe.add_argument("name")
    for command in (status, plan, logs):
        command.add_argument("--json", action="store_true", help="JSON lines for programs")
    return parser


def _in_managed_environment(tree: Tree) -> None:
    """Go on in the managed virtual environment where this Python lacks a library for memory, GPUs or hubs."""
    python = os.path.join(tree.venv, "bin", "python")
    lacks = any(importlib.util.find_spec(name) is None for name in _LIBRARIES)
    if lacks and os.path.realpath(sys.prefix) != os.path.realpath(tree.venv) and os.access(python, os.X_OK):
        os.execv(python, [python, "-I", *sys.argv])


def _status(wanted: argparse.Namespace, tree: Tree, manager: Manager, version: str) -> int:
    from . import table
    from .sections import Sections

    found = Sections(tree, manager).status()
    _print(found) if wanted.json else _write(table.lines(found))
    if tree.system and os.geteuid() != 0:
        sys.stderr.write("llama-host: some of this only root may see: use sudo.\n")
    return int(any(item["enabled"] and item["state"] != "ready" for item in found["instances"].values()))


def _facts(wanted: argparse.Namespace, tree: Tree, manager: Manager, version: str) -> int:
    from . import hostfacts

    _print(hostfacts.read(tree))
    return 0


def _plan(wanted: argparse.Namespace, tree: Tree, manager: Manager, version: str) -> int:
    from .answers import Answers

    options = dict(word.partition("=")[::2] for word in wanted.options)
    found = Answers(tree, manager).plan({"model": wanted.model, "options": options, "allow": wanted.allow})
    _print(found) if wanted.json else _write(found["table"])
    return 0 if found.get("fits") else 1


def _logs(wanted: argparse.Namespace, tree: Tree, manager: Manager, version: str) -> int:
    from . import logfeed, table

    stop = threading.Event()
    for batch in logfeed.feed(manager, wanted.name, wanted.lines, "", wanted.since, wanted.follow, stop):
        for line in batch:
            _print(line) if wanted.json else _write([table.printable(line["text"])])
    return 0


def _probe(wanted: argparse.Namespace, tree: Tree, manager: Manager, version: str) -> int:
    from .answers import Answers

    _print(Answers(tree, manager).probe({"name": wanted.name}))
    return 0


def _watch(wanted: argparse.Namespace, tree: Tree, manager: Manager, version: str) -> int:
    from .watch import Watch

    os.nice(5)  # who is watched comes first
    Watch(tree, manager, version, lambda data: _all(1, data)).run(_chunks(0))
    os._exit(0)  # whatever is still being looked at, nobody reads it


def _all(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def _chunks(handle: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(handle, 1 << 16)
        except OSError:
            return
        if not data:
            return
        yield data


def _print(value: Any) -> None:
    sys.stdout.write(json.dumps(value, default=str) + "\n")
    sys.stdout.flush()


def _write(lines: Sequence[str]) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


_DO = {"status": _status, "facts": _facts, "plan": _plan, "logs": _logs, "probe": _probe, "watch": _watch}
