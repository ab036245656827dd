# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the module llama_build by itself, and what tests of its faults share."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

from ansible_runs import COLLECTIONS, REPOSITORY

MODULE = REPOSITORY / "plugins" / "modules" / "llama_build.py"


def run_build(folder: Path, check: bool = False, env: dict[str, str] | None = None, **args: Any) -> dict[str, Any]:
    """The result of the module with these arguments, in the user scope; several may run at once.

    :param folder: takes the file of the arguments.
    """
    given = {"scope": "user", "backend": "cpu", "_ansible_check_mode": check, **args}
    file = folder / f"arguments-{threading.get_ident()}.json"
    file.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": given}))
    done = subprocess.run(
        [sys.executable, MODULE, file],
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS), **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    return {"failed": False, **json.loads(done.stdout or '{"failed": true}')}


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A disk of this size at `folder`."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def wait_for(happened: Callable[[], Any]) -> None:
    """Return when this is true."""
    deadline = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)
