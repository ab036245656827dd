# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of a job: what somebody would type at a terminal. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput

_PATTERN = set(" ,:&!*?[]~@/\\'\"$`;|<>(){}") | {chr(code) for code in range(32)}


def line(
    playbook: str, sources: Sequence[str], hosts: Sequence[str], variables: Mapping[str, Any], check: bool
) -> list[str]:
    """The words of the command. Variables are one word of JSON, so that their types survive."""
    words = ["ansible-playbook", *sources, f"llamaops.llama_cpp.{playbook}", "--limit", ",".join(hosts)]
    if variables:
        words += ["-e", json.dumps(variables, sort_keys=True, ensure_ascii=False)]
    return [*words, *(["--check"] if check else []), "--diff"]


def known_hosts(hosts: Sequence[str], known: Collection[str]) -> list[str]:
    """The hosts of a job, sorted, each once.

    :raises InvalidInput: there is none, one is not in the inventory, or its name could be read as a pattern.
    """
    if not hosts:
        raise InvalidInput("No host was named.", "Choose at least one.")
    for host in hosts:
        if not isinstance(host, str) or host not in known:
            raise InvalidInput(
                f"{str(host)[:80]!r} is no host of the inventory.", "Read the inventory again, or mend it."
            )
        if not host or host[0] in "-." or _PATTERN.intersection(host):
            raise InvalidInput(
                f"The name of the host {host[:80]!r} could be read as a pattern of hosts.",
                "Use letters, digits, dots, dashes and underscores; ansible_host may have the address.",
            )
    return sorted(set(hosts))
