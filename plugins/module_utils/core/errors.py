# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of the core: what was wrong, what was needed, what helps."""

from __future__ import annotations

from typing import Any


class LlamaOpsError(Exception):
    """A failure that a user can act on.

    :param problem: one sentence naming what was found and what was needed.
    :param remedy: what to do about it; shown after the problem.
    :param details: further data for the result of a module (never a secret).
    """

    def __init__(self, problem: str, remedy: str = "", **details: Any) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        self.details = details

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}".strip()


class InvalidInput(LlamaOpsError):
    """Something the user gave cannot be used; nothing was changed."""


class Prerequisite(LlamaOpsError):
    """Something that an earlier step makes (a build, a model set, the tree) is not there yet."""


class MissingLibrary(LlamaOpsError):
    """A Python package is not importable where the code runs."""

    def __init__(self, package: str, purpose: str) -> None:
        super().__init__(
            f"The Python package {package!r} is needed {purpose} and cannot be imported.",
            f"Install it where the module runs (pip install {package}), or run the role llama_runtime, "
            "which keeps it in the managed virtual environment.",
        )
        self.package = package


class MissingTool(LlamaOpsError):
    """A program, header or resource of the host is missing."""


class Busy(LlamaOpsError):
    """Somebody else holds what is needed: a lock, a port, a device."""


class CommandFailed(LlamaOpsError):
    """A command ended with an error, or did not end in time."""


class Unreachable(LlamaOpsError):
    """Something that is fetched over a network did not come, or not to its end."""


class Untrusted(LlamaOpsError):
    """Bytes that are not what they were said to be: a wrong checksum, a damaged or hostile file."""


class NotProven(LlamaOpsError):
    """Something was started or built and did not pass its proof."""


def joined(failed: list[LlamaOpsError]) -> LlamaOpsError:
    """The first of several errors; it tells the others."""
    first, *others = failed
    if others:
        first.problem += " Also: " + " ".join(other.problem for other in others)
    return first
