# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an instance may run: devices, workers on other hosts, and what the plan may change to make it fit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidInput
from ..memory.choose import RUNGS
from ..names import check_keys, check_name
from . import values

SPLIT_MODES = ("none", "layer", "row", "tensor")
ALLOWED_RUNGS = tuple(RUNGS[2:])
_HEX = "[0-9a-fA-F]"
DEVICE = re.compile(rf"(?:GPU|MIG)-[0-9a-zA-Z/-]{{1,80}}|pci:{_HEX}{{4,8}}:{_HEX}{{2}}:{_HEX}{{2}}\.{_HEX}")
_ENDPOINT = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:.]{2,45}\]):([0-9]{1,5})")


@dataclass(frozen=True)
class Devices:
    """The GPUs an instance may use: exactly `ids`, or `count` of those whose name contains `name`. All empty: none."""

    ids: tuple[str, ...] = ()
    count: int = 0
    name: str = ""

    @property
    def none(self) -> bool:
        return not self.ids and not self.count


@dataclass(frozen=True)
class Worker:
    """A worker on another host; `address` is `host:port`. The role fills it in, with the build and its commit there."""

    host: str
    worker: str
    address: str = ""
    build: str = ""
    commit: str = ""


@dataclass(frozen=True)
class Place:
    """Where a plan puts an instance: devices as its build calls them, in the order of `--device`, and the environment
    that makes these names mean the right cards (`CUDA_VISIBLE_DEVICES` and its kin)."""

    devices: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PlanRules:
    """What the planner may do: the rungs it may use, the context in tokens below which it may not go.

    :param exact: also ask the build what it would take. :param force: launch although the plan does not fit.
    :param allow_mismatch: let it serve although it lies elsewhere than planned.
    """

    allow: tuple[str, ...] = ()
    ctx_floor: int = 4096
    exact: bool = False
    force: bool = False
    allow_mismatch: bool = False


def devices(where: str, value: Any) -> Devices | None:
    """`auto` (None: the plan chooses), `none`, a list of ids, or `{count, name}`."""
    if value in (None, values.AUTO):
        return None
    if value == "none":
        return Devices()
    if isinstance(value, Mapping):
        given = values.table(where, "devices", value)
        check_keys(f"{where}: devices", given, ("count", "name"))
        name = values.text(where, "devices.name", given.get("name", ""))
        return Devices(count=values.number(where, "devices.count", given.get("count"), 1, 64), name=name)
    ids = values.listed(where, "devices", value)
    for item in ids:
        if not isinstance(item, str) or not DEVICE.fullmatch(item):
            raise InvalidInput(
                f"{where}: {item!r} names no device.",
                "Use its UUID (GPU-... or MIG-...), pci:0000:03:00.0, {count: 2, name: ...}, none or auto; an index "
                "changes when a card does.",
            )
    if len(set(ids)) != len(ids):
        raise InvalidInput(f"{where}: a device is listed twice in devices.")
    return Devices(ids=tuple(ids))


def workers(where: str, value: Any) -> tuple[Worker, ...]:
    """A list of `{host, worker, address, build, commit}`."""
    found = []
    for item in values.listed(where, "rpc", value):
        given = values.table(where, "rpc", item)
        check_keys(f"{where}: rpc", given, Worker.__dataclass_fields__)
        address = values.text(where, "rpc.address", given.get("address", ""))
        port = _ENDPOINT.fullmatch(address)
        if address and (port is None or not 0 < int(port[1]) < 65536):
            raise InvalidInput(f"{where}: the rpc address {address!r} is not host:port.")
        host, build, commit = (
            values.text(where, f"rpc.{key}", given.get(key, "")) for key in ("host", "build", "commit")
        )
        found.append(Worker(host, check_name("worker", given.get("worker")), address, build, commit))
    return tuple(found)


def rules(where: str, value: Any) -> PlanRules:
    """The dictionary `plan`."""
    given = values.table(where, "plan", value)
    check_keys(f"{where}: plan", given, PlanRules.__dataclass_fields__)
    allow = values.listed(where, "plan.allow", given.get("allow", ()))
    return PlanRules(
        allow=tuple(values.choice(where, "plan.allow", rung, ALLOWED_RUNGS) for rung in allow),
        ctx_floor=values.number(where, "plan.ctx_floor", given.get("ctx_floor", 4096), 256, 1 << 30),
        exact=values.switch(where, "plan.exact", given.get("exact", False)),
        force=values.switch(where, "plan.force", given.get("force", False)),
        allow_mismatch=values.switch(where, "plan.allow_mismatch", given.get("allow_mismatch", False)),
    )


def tensor_split(where: str, value: Any) -> tuple[float, ...] | str | None:
    """`auto`, None, or one share a device: a list, or text with commas."""
    if value in (None, values.AUTO):
        return value if value is None else str(value)
    items = value.split(",") if isinstance(value, str) else values.listed(where, "tensor_split", value)
    shares = tuple(values.fraction(where, "tensor_split", item, 0, 1e6) for item in items)
    if not sum(shares) > 0:
        raise InvalidInput(f"{where}: tensor_split gives no device a share.")
    return shares
