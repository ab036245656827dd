# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wanted of a fleet, as the files of monitors and proxies.

Only what others can reach is in them: an instance that listens on loopback, or on a cordoned host, is not. Whether one
answers is no question here, since each reader looks for itself, and a file that changes with every crash helps nobody.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

_MODES = {"server": "chat", "router": "chat", "embedding": "embedding"}
_LONGEST_STREAM = "1h"


def reachable(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows that belong into exports."""
    return [row for row in rows if row["wanted"] and not row["cordoned"] and row["serves"].get("url")]


def prometheus(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Targets for `file_sd_configs`: those that have /metrics. Each has a label for its key file to be chosen by."""
    found = []
    for row in reachable(rows):
        if not row["serves"]["metrics"] or row["kind"] == "transformers":
            continue
        parts = urllib.parse.urlsplit(row["serves"]["url"])
        labels = {"__scheme__": parts.scheme, "llama_host": row["host"], "llama_instance": row["instance"]}
        labels.update({"llama_kind": row["kind"], "llama_model": row["model"]})
        labels["llama_key"] = (row["serves"]["keys"] or [""])[0]
        found.append({"targets": [parts.netloc], "labels": {key: value for key, value in labels.items() if value}})
    return found


def litellm(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The `model_list` of LiteLLM. Equal names are one group, among whose members it balances; keys are variables."""
    models = []
    for row in reachable(rows):
        if row["kind"] not in _MODES:
            continue
        for name in row["serves"]["names"]:
            keys = row["serves"]["keys"]
            given = {"model": f"openai/{name}", "api_base": f"{row['serves']['url']}/v1"}
            given["api_key"] = f"os.environ/{variable(keys[0])}" if keys else "none"
            about = {"id": f"{row['host']}/{row['instance']}/{name}", "mode": _MODES[row["kind"]]}
            models.append({"model_name": name, "litellm_params": given, "model_info": about})
    return {"model_list": models}


def variable(key: str) -> str:
    """The name of the environment variable that holds a key: `LLAMA_KEY_TEAM`."""
    return "LLAMA_KEY_" + re.sub(r"[^A-Z0-9]", "_", key.upper())


def haproxy(rows: Sequence[Mapping[str, Any]]) -> str:
    """One backend a name, for `haproxy -f`: queued in front of the slots, tried elsewhere only if nobody connected.

    Names that HAProxy cannot tell apart are one backend.
    """
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in reachable(rows):
        for name in dict.fromkeys(_word(name) for name in row["serves"]["names"]):
            groups.setdefault(name, []).append(row)
    return "\n".join(line for name in sorted(groups) for line in _backend(name, groups[name]))


def _backend(name: str, members: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [f"backend llama-{name}", "    mode http", "    balance leastconn"]
    lines += ["    option httpchk GET /health", "    retry-on conn-failure", "    option redispatch"]
    lines += ["    timeout connect 5s", f"    timeout server {_LONGEST_STREAM}", f"    timeout queue {_LONGEST_STREAM}"]
    for row in members:
        parts = urllib.parse.urlsplit(row["serves"]["url"])
        secure = " ssl verify required ca-file @system-ca" if parts.scheme == "https" else ""
        server = _word(f"{row['host']}:{row['instance']}")
        slots = row["serves"]["slots"]  # 0 where the plan decides, and its host was not reached
        limit = f" maxconn {slots}" if slots else ""
        lines.append(f"    server {server} {parts.netloc} check{limit}{secure}")
    return [*lines, ""]


def _word(text: str) -> str:
    """What HAProxy takes as a name."""
    return re.sub(r"[^A-Za-z0-9_.:-]", "_", text)
