# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host may say: everything else is left out before anybody sees it. Pure."""

from __future__ import annotations

import json
import math
import re
from typing import Any

KINDS = ("hello", "load", "status", "facts", "builds", "models", "benches")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_DEEPEST, _LONGEST, _MOST = 12, 64 << 10, 20_000
_OBJECTS = {"instances": dict, "workers": dict, "sets": list, "stores": list, "builds": list, "results": list,
            "gpus": list, "disks": list, "devices": list, "unmanaged": list, "memory": dict, "host": dict}  # fmt: skip


def message(line: bytes) -> dict[str, Any] | None:
    """A message of a host: `{kind, ...}`, or `{id, answer | lines | error}`; None when it is none."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    found = clean(said)
    if "kind" in found:
        return _told(found) if found["kind"] in KINDS else None
    if not isinstance(found.get("id"), int) or isinstance(found["id"], bool):
        return None
    if isinstance(found.get("error"), dict):
        return {"id": found["id"], "error": _error(found["error"])}
    if isinstance(found.get("lines"), list):
        return {"id": found["id"], "lines": [_line(item) for item in found["lines"] if isinstance(item, dict)]}
    return {"id": found["id"], "answer": found["answer"]} if isinstance(found.get("answer"), dict) else None


def _told(found: dict[str, Any]) -> dict[str, Any]:
    """A part with every field that pages walk through of the right kind."""
    for key, kind in _OBJECTS.items():
        if key in found and not isinstance(found[key], kind):
            del found[key]
    for key in ("gpus", "disks", "unmanaged", "sets", "stores", "results", "devices"):
        if key in found:
            found[key] = [item for item in found[key] if isinstance(item, dict)]
    if found["kind"] == "status" and "error" not in found:
        found["instances"] = {n: i for n, i in (found.get("instances") or {}).items() if _instance(i)}
        found["workers"] = {n: i for n, i in (found.get("workers") or {}).items() if isinstance(i, dict)}
        found["cordon"] = found.get("cordon") if isinstance(found.get("cordon"), dict) else None
    if "error" in found:
        said = found["error"]
        found["error"] = _error(said if isinstance(said, dict) else {"message": said})
    if found["kind"] == "status" and "instances" not in found:  # as a module that failed
        found.update(failed=True, msg=found.get("error", {}).get("message", "it told no instances"))
    return found


_TEXTS = ("state", "residency", "build_id", "model", "kind", "detail", "endpoint", "url", "command_line", "share")


def _instance(item: Any) -> bool:
    """Make an instance what `overview.look` gives; False when it is none."""
    if not isinstance(item, dict) or not isinstance(item.get("state"), str):
        return False
    for key in _TEXTS:
        if key in item and not isinstance(item[key], str):
            item[key] = ""
    for key in ("uptime", "tokens_per_second"):
        if key in item and not _number(item[key]):
            item[key] = None
    memory = item["memory"] if isinstance(item.get("memory"), dict) else {}
    item["memory"] = {key: memory[key] if _number(memory.get(key)) else None for key in ("planned", "actual")}
    there = item.get("devices")
    item["devices"] = [
        one
        for one in (there if isinstance(there, list) else [])
        if isinstance(one, dict) and _number(one.get("planned"))
    ]
    for one in item["devices"]:
        one["actual"] = one["actual"] if _number(one.get("actual")) else None
    reasons = item.get("residency_reasons")
    item["residency_reasons"] = [str(one) for one in reasons] if isinstance(reasons, list) else []
    return True


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _error(said: dict[str, Any]) -> dict[str, str]:
    return {key: str(said.get(key) or "")[:2000] for key in ("message", "remedy")}


def _line(item: dict[str, Any]) -> dict[str, Any]:
    at = item.get("at")
    return {
        "cursor": str(item.get("cursor") or "")[:400],
        "at": at if _number(at) else None,
        "text": str(item.get("text") or ""),
        "level": item["level"] if item.get("level") in ("debug", "info", "warning", "error") else "info",
    }


def clean(value: Any, depth: int = 0) -> Any:
    """Without what terminals obey, without depth or lengths that nobody means, and with finite numbers."""
    if depth > _DEEPEST:
        return None
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        pairs = list(value.items())[:_MOST]
        return {text(str(key))[:200]: clean(item, depth + 1) for key, item in pairs}
    if isinstance(value, list):
        return [clean(item, depth + 1) for item in value[:_MOST]]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and abs(value) > 1 << 63:
        return None
    return value


def text(value: str) -> str:
    """A text without control characters (ANSI sequences among them), at most 64 Ki characters long."""
    if value.isprintable() and len(value) <= _LONGEST:
        return value
    return _CONTROL.sub("", value[:_LONGEST])
