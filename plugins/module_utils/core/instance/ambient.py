# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that reach a server by another way than its unit: variables of the service manager's own environment."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import NotProven
from ..host import process

# what llama-server takes for flags (common/arg.cpp) and keys
_PREFIX, _NAMES = "LLAMA_ARG_", ("LLAMA_API_KEY",)


def unseen(pid: int, shown: Mapping[str, str]) -> list[str]:
    """The names of variables that set flags of a running server and are not among those that its unit shows.

    Empty too where the process is gone or belongs to somebody else.
    """
    found = process.environment(pid)
    foreign = (name for name, value in found.items() if shown.get(name) != value)
    return sorted(name for name in foreign if name.startswith(_PREFIX) or name in _NAMES)


def check(name: str, pid: int, shown: Mapping[str, str]) -> None:
    """Refuse to call an instance proven that was given flags which nobody can read in its unit.

    :raises NotProven: names the variables; values are not shown, they may be secret.
    """
    names = unseen(pid, shown)
    if names:
        raise NotProven(
            f"The environment of the service manager gives {name!r} {', '.join(names)}, which its unit does not show.",
            "Take them out of DefaultEnvironment= (systemd-system.conf), environment.d or supervisord's environment, "
            f"or: systemctl unset-environment {' '.join(names)}; then restart the instance.",
        )
