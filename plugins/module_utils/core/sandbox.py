# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a fresh binary without the rights of root."""

from __future__ import annotations

import contextlib
import grp
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

from .command import Account, end_group, run
from .tree import MODEL_GROUP, Tree, build_account

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "GGML_NO_BACKTRACE": "1"}


def has_systemd() -> bool:
    """True where systemd is the service manager of this host (sd_booted(3))."""
    return os.path.isdir("/run/systemd/system")


def wrap(
    tree: Tree, argv: Sequence[str], *, unit: str, seconds: int, env: Mapping[str, str] | None = None
) -> list[str]:
    """The command that runs `argv` unprivileged: a throw-away user under systemd, else `llama-build`.

    The environment is empty but for `ENVIRONMENT` and `env`, so that no `LLAMA_ARG_*` of the caller counts.
    In the user scope there is one user and nothing to drop. Model files stay readable (group
    `llama-models`); `unit` names the transient unit, `seconds` bounds its life.
    """
    settings = [f"{key}={value}" for key, value in {**ENVIRONMENT, **(env or {})}.items()]
    account = build_account(tree)
    bounded = ["env", "-i", *settings, "timeout", "--signal=KILL", str(seconds), *argv]
    if account is None:
        return bounded
    if not has_systemd():
        return [*_drop(account), *bounded]
    properties = {
        "DynamicUser": "yes",
        "SupplementaryGroups": " ".join([MODEL_GROUP, *_gpu_groups()]),
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "LimitCORE": "0",
        "RuntimeMaxSec": str(seconds),
        "KillMode": "control-group",
        "TimeoutStopSec": "5",
    }
    return [
        "systemd-run",
        "--quiet",
        "--wait",
        "--pipe",
        "--collect",
        f"--unit={unit}",
        *[f"--property={key}={value}" for key, value in properties.items()],
        *[f"--setenv={setting}" for setting in settings],
        "--",
        *argv,
    ]


@contextlib.contextmanager
def background(
    tree: Tree, argv: Sequence[str], *, unit: str, seconds: int, log: IO[bytes], env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `argv` unprivileged while the block runs; it has ended, with its children, when the block ends."""
    command = wrap(tree, argv, unit=unit, seconds=seconds, env=env)
    process = subprocess.Popen(  # pylint: disable=ansible-bad-function  # as in command.run
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        yield process
    finally:
        if command[0] == "systemd-run":
            run(["systemctl", "stop", unit + ".service"], check=False, timeout=30)
        end_group(process)


def _gpu_groups() -> list[str]:
    """The groups that may use the device nodes of AMD and Intel GPUs, as far as this host has them."""
    known = {group.gr_name for group in grp.getgrall()}
    return [name for name in ("render", "video") if name in known]


def _drop(account: Account) -> list[str]:
    return [
        "setpriv",
        f"--reuid={account.uid}",
        f"--regid={account.gid}",
        "--clear-groups",
        "--no-new-privs",
        "--inh-caps=-all",
        "--bounding-set=-all",
        "--",
    ]
