# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts as they would have said it themselves, for pages that are looked at without any host."""

from __future__ import annotations

import time
from typing import Any

from llamaops_panel.fleet.host import CONNECTED, LOST, Host, Link

GIB = 1 << 30


def gpu(host: str, number: int, used: float) -> dict[str, Any]:
    total = 24 * GIB
    return {
        "id": f"GPU-{host}-{number}",
        "name": "NVIDIA L4",
        "backend": "cuda",
        "total": total,
        "free": int(total * (1 - used)),
        "utilization_percent": {"gpu": int(97 * used), "memory": 40},
        "temperature": 61,
        "power": {"draw": 55.1, "limit": 72.0},
        "processes": [
            {"pid": 4100 + number, "used": int(total * used), "unit": "llama-chat.service", "kind": "compute"}
        ],
    }


def instance(state: str = "ready", **more: Any) -> dict[str, Any]:
    up = state in ("ready", "loading", "silent")
    return {
        "kind": "server",
        "state": state,
        "active": up,
        "enabled": True,
        "adopted": False,
        "pid": 4100 if up else 0,
        "uptime": 93784 if up else None,
        "detail": "active/running (success)" if up else "failed (exit-code 1)",
        "health": "ready" if state == "ready" else "unreachable",
        "url": "http://127.0.0.1:8080",
        "endpoint": "http://10.0.0.5:8080",
        "build_id": "b9999-abc1234-cuda-0123abcd",
        "model": "/srv/qwen3-8b.gguf",
        "unit": "/etc/systemd/system/llama-chat.service",
        "command_line": "/opt/llama/builds/b9999-abc1234-cuda-0123abcd/bin/llama-server --model /m.gguf",
        "residency": "verified" if up else "unknown",
        "residency_reasons": [],
        "share": "100% GPU",
        "memory": {"planned": 9 * GIB, "actual": int(8.7 * GIB) if up else None},
        "devices": [{"id": "GPU-a", "name": "NVIDIA L4", "planned": 9 * GIB, "actual": int(8.7 * GIB)}],
        "tokens_per_second": 41.7 if state == "ready" else None,
        **more,
    }


def host(name: str, instances: dict[str, Any], *, gpus: int = 2, lost: bool = False, **more: Any) -> Host:
    """A host with everything that `llama-host watch` says."""
    link = (
        Link(LOST, error="ssh: connect to host: No route to host", retry_at=time.time() + 9)
        if lost
        else Link(CONNECTED)
    )
    wanted = {key: {"model": "/srv/qwen3-8b.gguf", "port": 8080 + number} for number, key in enumerate(instances)}
    return Host(
        name=name,
        groups=("gpu", "amsterdam"),
        variables={"llama_instances": wanted},
        link=link,
        status={"instances": instances, "unmanaged": [], "cordon": more.get("cordon", {})},
        load={
            "cpu": 23.0,
            "load": [1.2, 1.1, 0.9],
            "memory": {"total": 128 * GIB, "available": 71 * GIB},
            "gpus": [gpu(name, number, min(0.38 + 0.3 * number, 0.93)) for number in range(gpus)],
        },
        facts={
            "driver": "580.65",
            "cuda": "13.0",
            "host": {"name": name, "cpu": {"model": "AMD EPYC 9354", "usable": 32}},
        },
        builds={
            "active": "b9999-abc1234-cuda-0123abcd",
            "previous": "b9990-def5678-cuda-0123abcd",
            "builds": [],
            "disk": {"builds": 2 * GIB, "work": GIB, "cache": GIB, "free": 512 * GIB},
        },
        seen=time.time(),
    )


def hosts() -> list[Host]:
    return [
        host("gpu01", {"chat": instance(), "embed": instance(model="qwen3-embedding-4b", kind="embedding")}),
        host("gpu02", {"chat": instance("failed"), "rerank": instance("loading", kind="rerank")}),
        host("gpu03", {"chat": instance(), "moe": instance("stopped")}, lost=True),
        host("cpu01", {"tiny": instance(residency="mismatch")}, gpus=0, cordon={"text": "new memory, 14:00"}),
    ]


def option(name: str, **more: Any) -> dict[str, Any]:
    """One of the capability document of a build."""
    blank = {"names": [name], "negative": [], "values": None, "takes": 1, "number": False, "separator": None}
    kept = {"accumulates": False, "env": [], "removed": None, "downloads": False, "section": "common"}
    return {"name": name, **blank, **kept, **more}
