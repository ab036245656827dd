# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what the fleet says to the rows of tables. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..fleet.host import Host
from . import text
from .grid import Row, column

INSTANCES = (
    column("name", "Instance"),
    column("host", "Host", "tight"),
    column("state", "State", "tight"),
    column("residency", "Residency", "tight"),
    column("memory", "Memory", "tight"),
    column("speed", "Tok/s", "num"),
    column("model", "Model", "mono"),
    column("build", "Build", "mono tight", less=True),
    column("endpoint", "Endpoint", "mono", less=True),
    column("up", "Up", "num"),
    column("managed", "Managed by", "tight", less=True),
)
HOSTS = (
    column("name", "Host"),
    column("link", "State", "tight"),
    column("cpu", "CPU", "tight"),
    column("ram", "RAM", "tight"),
    column("gpus", "GPUs", "tight"),
    column("vram", "GPU memory", "tight"),
    column("busy", "GPU busy", "tight"),
    column("instances", "Instances", "num"),
    column("speed", "Tok/s", "num"),
    column("build", "Build", "mono tight", less=True),
    column("disk", "Disk free", "num", less=True),
)
ATTENTION = (
    column("where", "Where"),
    column("what", "What"),
    column("why", "Why", "wide"),
    column("remedy", "What to do", "wide"),
)
_WORST = {"error": 2, "warning": 1}
_SLACK = 256 << 20  # bytes beyond its plan that a server may take before anybody need look


def where(host: str, instance: str = "") -> str:
    """The page of a host or of an instance."""
    return f"/instances/{host}/{instance}" if instance else f"/hosts/{host}"


def instances(rows: Iterable[Mapping[str, Any]], *, host: str | None = None) -> list[Row]:
    """Rows of `Fleet.rows`, those of hosts without any left out."""
    return [_instance(row) for row in rows if row["instance"] and host in (None, row["host"])]


def _instance(row: Mapping[str, Any]) -> Row:
    name, state = text.clean(row["instance"], 60), str(row["state"])
    memory, reasons = row["memory"], [text.clean(reason) for reason in row["reasons"]]
    said = " ".join(reasons)
    gone = row.get("host_state") not in (None, "connected")
    tone = "off" if state == "stopped" and not row["wanted"] else text.tone(state)
    planned, actual = memory.get("planned"), memory.get("actual")
    return {
        "id": f"{row['host']}/{name}",
        "tone": "error" if text.tone(state) == "error" and row["wanted"] else "warning" if reasons else "",
        "cells": {
            "name": {"t": name, "href": where(row["host"], name), "title": said},
            "host": {"t": row["host"], "href": where(row["host"])},
            "state": {"t": f"{state}{' ?' if gone else ''}", "tone": tone, "title": said},
            "residency": _tagged(row["residency"]),
            "memory": share(actual, planned, planned=True),
            "speed": {"t": text.rate(row["tokens_per_second"]), "sort": row["tokens_per_second"] or 0},
            "model": text.clean(row["model"], 120),
            "build": _build_name(row["build_id"]),
            "endpoint": text.clean(row["endpoint"], 120),
            "up": {"t": text.span(row["uptime"]), "sort": row["uptime"] or 0},
            "managed": row.get("managed_by", ""),
        },
    }


def _tagged(word: Any) -> Any:
    return {"t": text.clean(word, 40), "tone": text.tone(word)} if word else ""


def share(used: Any, total: Any, *, planned: bool = False) -> Any:
    """How much of how much, as a bar and in words; to take what was planned is no reason to worry."""
    part = text.part(used, total)
    if part is None:
        return text.size(used) if used else text.size(total) if total else ""
    limits, slack = ((1.1, 1.02), _SLACK) if planned else ((0.97, 0.9), 0)
    tone = "error" if used >= limits[0] * total + slack else "warning" if used >= limits[1] * total + slack else "ok"
    return {"t": text.sizes(used, total), "bar": part, "tone": tone, "sort": part}


def _build_name(identity: Any) -> Any:
    """Version and commit of a build; the whole id where one points at it."""
    said = text.clean(identity or "", 80)
    return {"t": "-".join(said.split("-")[:2]), "title": said} if said else ""


def percent(value: Any, *, hot: float = 90) -> Any:
    if not isinstance(value, (int, float)):
        return ""
    return {"t": f"{value:.0f} %", "bar": value / 100, "tone": "warning" if value >= hot else "info", "sort": value}


def hosts(found: Iterable[Host], rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    """A row a host, with what its instances come to."""
    held: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        held.setdefault(row["host"], []).append(row)
    return [_host(host, held.get(host.name, [])) for host in found]


def _host(host: Host, held: Sequence[Mapping[str, Any]]) -> Row:
    mine = [row for row in held if row["instance"]]
    ready = sum(row["state"] == "ready" for row in mine)
    speeds = [row["tokens_per_second"] for row in mine if row["tokens_per_second"]]
    gpus = gpus_of(host)
    busy = [value for value in (busy_of(gpu) for gpu in gpus) if value is not None]
    cordon = text.clean(text.dig(host.status, "cordon", "text", default=""))
    total, free = (sum(int(gpu.get(key) or 0) for gpu in gpus) for key in ("total", "free"))
    memory = memory_of(host)
    used = (
        memory["total"] - memory["available"]
        if memory["total"] is not None and memory["available"] is not None
        else None
    )
    troubled = any(row["reasons"] for row in mine)
    wrong = text.clean(" ".join(reason for row in held if row["state"] == "error" for reason in row["reasons"]), 600)
    link = host.link.state
    tags = [{"t": "cordoned", "tone": "warning", "title": cordon}] if cordon else []
    tags += [{"t": "inventory", "tone": "error", "title": wrong}] if wrong else []
    return {
        "id": host.name,
        "tone": "error" if link == "lost" or wrong else "warning" if cordon or troubled else "",
        "cells": {
            "name": {"t": host.name, "href": where(host.name), "title": ", ".join(host.groups)},
            "link": {"t": link, "tone": text.tone(link), "title": text.clean(host.link.error), "tags": tags},
            "cpu": percent(cpu_of(host)),
            "ram": share(used, memory["total"]),
            "gpus": _gpus(gpus),
            "vram": share(total - free, total) if total else "",
            "busy": percent(sum(busy) / len(busy), hot=95) if busy else "",
            "instances": {"t": f"{ready}/{len(mine)}", "sort": len(mine)},
            "speed": {"t": text.rate(sum(speeds)) if speeds else "–", "sort": sum(speeds)},
            "build": _build_name(host.builds.get("active")),
            "disk": text.size(disk_of(host)),
        },
    }


def gpus_of(host: Host) -> list[dict[str, Any]]:
    """Its GPUs, with the live numbers where there are some."""
    live = {str(gpu.get("id")): gpu for gpu in text.rows_of(host.load, "gpus")}
    known = text.rows_of(host.facts, "devices")
    return [{**gpu, **live.pop(str(gpu.get("id")), {})} for gpu in known] + list(live.values())


def busy_of(gpu: Mapping[str, Any]) -> float | None:
    """How busy a GPU is, in percent."""
    found = gpu.get("utilization_percent")
    value = found.get("gpu") if isinstance(found, Mapping) else found
    return float(value) if isinstance(value, (int, float)) else None


def memory_of(host: Host) -> dict[str, int | None]:
    """`{total, available}` of the host in bytes."""
    found = text.dig(host.load, "memory", default=None) or text.dig(host.facts, "host", "memory", default={})
    known = found if isinstance(found, Mapping) else {}
    return {key: value if isinstance(value := known.get(key), int) else None for key in ("total", "available")}


def cpu_of(host: Host) -> float | None:
    """How busy its processors are, in percent."""
    found = text.dig(host.load, "cpu")
    value = found.get("percent") if isinstance(found, Mapping) else found
    return float(value) if isinstance(value, (int, float)) else None


def disk_of(host: Host) -> int | None:
    found = text.dig(host.builds, "disk", "free") or text.dig(host.facts, "host", "storage", "free")
    return found if isinstance(found, int) else None


def _gpus(gpus: Sequence[Mapping[str, Any]]) -> str:
    """`2 × NVIDIA L4, 1 × …`."""
    names = [text.clean(gpu.get("name") or "GPU", 40) for gpu in gpus]
    return ", ".join(f"{names.count(name)} × {name}" for name in dict.fromkeys(names))


def attention(found: Iterable[Mapping[str, Any]]) -> list[Row]:
    """What needs a human, the worst first."""
    items = sorted(found, key=lambda item: -_WORST.get(str(item["severity"]), 0))
    return [
        {
            "id": f"{number} {item['host']} {item['instance']} {item['what']}",
            "tone": item["severity"],
            "cells": {
                "where": {"t": "/".join(text.clean(part, 60) for part in (item["host"], item["instance"]) if part)}
                | {"href": _inside(item.get("link")) or where(item["host"], item["instance"])},
                "what": {"t": text.clean(item["what"]), "tone": item["severity"]},
                "why": text.clean(item["why"], 600),
                "remedy": text.clean(item["remedy"], 600),
            },
        }
        for number, item in enumerate(items)
    ]


def _inside(link: Any) -> str:
    """A link, if it leads to a page of the panel."""
    return str(link) if str(link or "").startswith("/") and not str(link).startswith("//") else ""
