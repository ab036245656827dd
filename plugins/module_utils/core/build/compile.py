# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuring and compiling: CMake and Ninja at the one path `<root>/work/build`, so that compiler caches hit."""

from __future__ import annotations

import os
import re
import resource
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Callable

from ..command import Result, run, tail
from ..errors import CommandFailed, InvalidInput
from ..files import read_text, write_text
from ..tree import Tree, build_account
from . import checkout, flags, ninja
from .toolchain import Toolchain

TOOLS = (
    "llama-server",
    "llama-bench",
    "ggml-rpc-server",
    "rpc-server",  # its name in older trees
    "llama-quantize",
    "llama-gguf-split",
    "llama-fit-params",
)
_ERROR = re.compile(
    r": (?:fatal )?error: |^CMake Error|Killed signal|No space left on device|undefined reference|^ninja: error"
)
_NOISE = re.compile(r"^\[\d+/\d+\]|^FAILED: |^\s*$")


@dataclass(frozen=True)
class Compiled:
    """What was compiled.

    :param tools: the programs' names. :param seconds: how long it took, `cpu_seconds` how long processors worked on it.
    :param jobs: how many compilers ran at once. :param peak: bytes of memory that the largest process of the run had.
    """

    tools: tuple[str, ...]
    seconds: float
    cpu_seconds: float
    jobs: int
    peak: int


def compile_tree(
    tree: Tree,
    tools: Toolchain,
    options: Mapping[str, str],
    recipe_digest: str,
    jobs: int,
    keep_fds: Sequence[int],
    progress: Callable[[str], None],
    environment: Mapping[str, str] | None = None,
) -> Compiled:
    """Compile `work/tree`; the programs are in `work/build/bin` then, and the log in `work/build.log`.

    What an interrupted run of the same recipe left is used. The environment of the caller does not count.

    :param options: all CMake options, `environment` what CMake and the compilers need besides.
    :param keep_fds: inherited by the compilers: with the held lock among them, whoever kills this run cannot start
        another one while they still work.
    :raises CommandFailed: with the first real errors of the log.
    """
    _clear(tree, recipe_digest)
    with _new_log(tree) as log:

        def step(*argv: str, **more: str) -> Result:
            result = run(
                argv,
                cwd=tree.work,
                env={**_environment(tree, tools), **(environment or {}), **more},
                account=build_account(tree),
                keep_fds=keep_fds,
                log=log,
                check=False,
            )
            if result.rc:
                raise _failure(argv[1] == "--build", _text(log), log_path(tree), jobs)
            return result

        cmake = tools.programs["cmake"]
        progress("configure")
        step(cmake, "-S", checkout.folder(tree), "-B", _folder(tree), "-G", "Ninja", *_arguments(tools, options))
        before = log.tell()
        step(cmake, "--build", _folder(tree), "--target", "help")
        wanted = _targets(_text(log, before))
        progress(f"compile {len(wanted)} programs with {jobs} jobs")
        with ninja.watched(log_path(tree), log.tell(), progress):
            # not while it is configured: ggml takes it for a sign to switch instruction sets off
            date = {"SOURCE_DATE_EPOCH": flags.EPOCH}
            before_it = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = step(cmake, "--build", _folder(tree), "-j", str(jobs), "--target", *wanted, **date)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = used.ru_utime + used.ru_stime - before_it.ru_utime - before_it.ru_stime
    return Compiled(tuple(wanted), done.seconds, cpu_seconds, jobs, used.ru_maxrss * 1024)


def log_path(tree: Tree) -> str:
    """Where the output of CMake and the compilers goes; that of the run before has `.1` after it."""
    return os.path.join(tree.work, "build.log")


def first_errors(text: str, lines: int = 8) -> str:
    """The first real error of a build's log with the lines after it; its last lines where none is found."""
    said = text.splitlines()
    start = next((number for number, line in enumerate(said) if _ERROR.search(line)), None)
    if start is None:
        return "\n".join([line for line in said if line.strip()][-lines:])
    wanted: list[str] = []
    for line in said[start:]:
        if len(wanted) == lines or line.startswith("["):
            break
        wanted += [] if _NOISE.search(line) else [line.rstrip()[:300]]
    return "\n".join(wanted)


def _folder(tree: Tree) -> str:
    return os.path.join(tree.work, "build")


def _clear(tree: Tree, recipe_digest: str) -> None:
    """Start anew unless the build folder is of the same recipe."""
    mark = os.path.join(tree.work, "build.recipe")
    if read_text(mark) == recipe_digest:
        return
    shutil.rmtree(_folder(tree), ignore_errors=True)
    write_text(mark, recipe_digest)


def _arguments(tools: Toolchain, options: Mapping[str, str]) -> list[str]:
    programs = {"CMAKE_C_COMPILER": "c", "CMAKE_CXX_COMPILER": "c++", "CMAKE_MAKE_PROGRAM": "ninja"}
    found = {key: tools.programs[tool] for key, tool in programs.items()}
    return [f"-D{key}={value}" for key, value in sorted({**options, **found}.items())]


def _environment(tree: Tree, tools: Toolchain) -> dict[str, str]:
    cache = os.path.join(tree.cache, "ccache")
    return {
        "PATH": tools.path,
        "HOME": tree.work,
        "LANG": "C.UTF-8",
        "CCACHE_DIR": cache if tree.system else os.environ.get("CCACHE_DIR", cache),
        "CCACHE_BASEDIR": tree.work,
        "CCACHE_IGNOREOPTIONS": flags.IGNORED_BY_CACHE,
        "CCACHE_NOHASHDIR": "1",
        # the tree is no repository; one that lies around the root must not be taken for it
        "GIT_CEILING_DIRECTORIES": tree.work,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }


def _targets(listing: str) -> list[str]:
    """Those of `TOOLS` that a tree has, from the output of `--target help`.

    :raises InvalidInput: there is no llama-server.
    """
    known = set(re.findall(r"^([\w.-]+): phony$", listing, re.M))
    if TOOLS[0] not in known:
        raise InvalidInput("This source tree has no llama-server to build.", "Take a newer version of llama.cpp.")
    return [name for name in TOOLS if name in known]


def _new_log(tree: Tree) -> IO[bytes]:
    """A new log file. The folder belongs to another user, so nothing that lies there already is written to."""
    path = log_path(tree)
    if os.path.lexists(path):
        os.replace(path, f"{path}.1")
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
    return os.fdopen(handle, "r+b", buffering=0)


def _text(log: IO[bytes], start: int = 0) -> str:
    log.seek(start)
    return log.read().decode("utf-8", "replace")


def _failure(compiling: bool, text: str, path: str, jobs: int) -> CommandFailed:
    found = first_errors(text)
    remedy = f"The whole log: {path}."
    if "Killed signal" in text:
        remedy = f"Memory ran out: give the host more, or fewer jobs (now {jobs}). {remedy}"
    if "No space left on device" in text:
        remedy = f"The disk is full: make room. {remedy}"
    return CommandFailed(
        f"{'Compiling' if compiling else 'Configuring'} llama.cpp failed:\n{found}\n", remedy, log=tail(text, 40)
    )
