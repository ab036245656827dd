# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One commit for one change of a file, by the user of the panel. Nothing is pushed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import CommandFailed

_PANEL = {"GIT_COMMITTER_NAME": "llamaops panel", "GIT_COMMITTER_EMAIL": "panel@localhost"}
_TIME = 30.0


def commit(file: Path, subject: str, by: str) -> None:
    """Commit this file alone, whatever else is staged.

    :raises CommandFailed: it is in no repository, or git refuses.
    """
    name = "".join(letter for letter in by if letter.isprintable() and letter not in "<>").strip() or "somebody"
    _git(file, "add", "--", file.name)
    _git(
        file,
        "commit",
        "--quiet",
        "--only",
        "-m",
        subject,
        f"--author={name} <{name.replace(' ', '.')}@panel>",
        "--",
        file.name,
    )


def _git(file: Path, *words: str) -> None:
    try:
        done = subprocess.run(
            ["git", "-C", str(file.parent), *words],
            env={**os.environ, **_PANEL, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIME,
            check=False,
        )
        said = (done.stderr.strip() or done.stdout.strip())[-300:]
        code = done.returncode
    except (OSError, subprocess.TimeoutExpired) as exc:
        said, code = str(exc), 1
    if code:
        raise CommandFailed(
            f"{file} was written and not committed: {said or 'git failed'}.",
            "Commit it by hand, or leave commit_changes off.",
        )
