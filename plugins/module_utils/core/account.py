# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Doing a piece of work with the rights of another user: unpacking what came from outside, for example."""

from __future__ import annotations

import json
import os
from typing import Any, Callable

from . import errors
from .command import Account


def call(account: Account | None, work: Callable[[], Any]) -> Any:
    """Run `work` as `account` in a child process and return its value, which must be JSON-able.

    Without an account it runs right here. What `work` raises is raised here again. The child inherits all open
    files, a held lock among them.

    :raises errors.LlamaOpsError, OSError: as `work` did.
    """
    if account is None:
        return work()
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        _child(account, work, sender)
    os.close(sender)
    with os.fdopen(receiver, "rb") as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return _value(said)


def _child(account: Account, work: Callable[[], Any], sender: int) -> None:
    """Never returns: whatever happens, this process ends here."""
    said: dict[str, Any]
    try:
        os.setgroups([])
        os.setgid(account.gid)
        os.setuid(account.uid)
        os.umask(0o022)
        os.environ["HOME"] = account.home
        said = {"value": work()}
    except errors.LlamaOpsError as exc:
        said = {"error": type(exc).__name__, "problem": exc.problem, "remedy": exc.remedy, "details": exc.details}
    except OSError as exc:
        said = {"errno": exc.errno, "strerror": str(exc.strerror or exc), "filename": str(exc.filename or "")}
    except BaseException as exc:  # noqa: BLE001  nothing may escape into a second copy of the caller
        said = {"defect": f"{type(exc).__name__}: {exc}"}
    try:
        with os.fdopen(sender, "wb") as pipe:
            pipe.write(json.dumps(said).encode())
    finally:
        os._exit(0)


def _value(said: bytes) -> Any:
    answer: dict[str, Any] = json.loads(said) if said else {"defect": "it was killed"}
    if "value" in answer:
        return answer["value"]
    if "error" in answer:
        kind = getattr(errors, answer["error"], errors.LlamaOpsError)
        raise kind(answer["problem"], answer["remedy"], **answer["details"])
    if "errno" in answer:
        raise OSError(answer["errno"], answer["strerror"], answer["filename"] or None)
    raise RuntimeError(f"A step that ran as another user failed. {answer['defect']}")
