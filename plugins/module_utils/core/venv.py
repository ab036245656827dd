# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Python virtual environment with given packages, made once and left alone while nothing changes."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Sequence

from .command import run
from .errors import InvalidInput, MissingTool
from .files import read_text, write_text

STAMP = ".llamaops-requirements"


def stamp(requirements: Sequence[str]) -> str:
    """What the stamp of an environment with these packages says: the Python it is for, then the packages.

    :raises InvalidInput: a requirement is empty, an option of pip, or more than a line.
    """
    for requirement in requirements:
        if not re.match(r"[A-Za-z0-9]", requirement) or "\n" in requirement:
            raise InvalidInput(f"{requirement!r} is not a Python package.", "Write it like psutil>=5.9,<8.")
    return "\n".join([f"python {sys.version_info[0]}.{sys.version_info[1]}", *requirements]) + "\n"


def current(folder: str) -> str | None:
    """The stamp of the environment in `folder`; None when none was ever completed there."""
    return read_text(os.path.join(folder, STAMP))


def install(folder: str, requirements: Sequence[str], timeout: float = 1800, wheels: str | None = None) -> None:
    """Make the environment in `folder` with the running Python and bring its packages to what is asked.

    :param wheels: a folder with all packages, which is used instead of an index.
    The stamp is written last: an interrupted run is completed by the next one.

    :raises MissingTool: this Python cannot make environments.
    :raises CommandFailed: pip failed; its last lines are in the text.
    """
    wanted, found = stamp(requirements), current(folder)
    if importlib.util.find_spec("ensurepip") is None:
        raise MissingTool(
            f"{sys.executable} cannot make virtual environments, its module ensurepip is missing.",
            "Install the package python3-venv (Debian, Ubuntu), or run the role llama_runtime as root.",
        )
    other_python = found is not None and found.splitlines()[:1] != wanted.splitlines()[:1]
    run([sys.executable, "-m", "venv", *(["--clear"] if other_python else []), folder], timeout=timeout)
    pip = [os.path.join(folder, "bin", "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    if requirements:
        place = ["--no-index", "--find-links", wheels] if wheels else []
        run([*pip, "install", "--quiet", *place, *requirements], timeout=timeout)
    write_text(os.path.join(folder, STAMP), wanted)
