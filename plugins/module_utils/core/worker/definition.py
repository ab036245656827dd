# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker as the inventory asks for it: checked, with every default filled in."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

from ..errors import InvalidInput
from ..instance import placement
from ..instance.placement import Devices
from ..instance.values import Given
from ..names import check_keys, check_name
from ..sizes import to_bytes

STATES = ("started", "stopped", "absent")
DEFAULT_PORT = 50052
Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


@dataclass(frozen=True)
class Worker:
    """One `ggml-rpc-server`. Sizes in bytes; `devices` is None for the processor, else exactly one GPU.

    `address` is what it listens on, `client` the address of its head, the only one that it talks to. A worker that no
    instance names has no client and stands still.
    """

    name: str
    state: str = "started"
    port: int = DEFAULT_PORT
    address: str = ""
    client: str = ""
    devices: Devices | None = None
    threads: int | None = None
    cache_quota: int = 0
    memory_max: int | None = None
    build: str = "active"

    @property
    def wanted(self) -> bool:
        """True when it should run after the call."""
        return self.state == "started" and bool(self.client)

    @property
    def endpoint(self) -> str:
        """Where its head reaches it."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


FIELDS = tuple(Worker.__dataclass_fields__)
# what stands in an inventory; the other fields are derived
GIVEN = tuple(field for field in FIELDS if field not in ("name", "address", "client"))


def read_network(text: object) -> Network:
    """The network that heads and workers talk over.

    :raises InvalidInput: it is no network, or one that strangers may reach.
    """
    try:
        network = ipaddress.ip_network(str(text or ""))
    except ValueError:
        raise InvalidInput(
            f"llama_rpc_network: {text!r} is no network.", "Give it as address/prefix, such as 10.20.0.0/24."
        ) from None
    if network.is_global or network.prefixlen < 8 or network.is_loopback:
        raise InvalidInput(
            f"llama_rpc_network: workers have neither password nor encryption, and {network} is no private network.",
            "Use one that only the hosts of the cluster reach.",
        )
    return network


def read_address(where: str, address: object, network: Network) -> str:
    """The address of a host inside of the network.

    :raises InvalidInput: it has none there.
    """
    try:
        found = ipaddress.ip_address(str(address or ""))
    except ValueError:
        raise InvalidInput(
            f"{where} has no address in llama_rpc_network {network}.", "Set llama_rpc_address, or llama_address."
        ) from None
    if found not in network:
        raise InvalidInput(
            f"{where} has the address {found}, which is outside of llama_rpc_network {network}.",
            "Set llama_rpc_address to its address in that network.",
        )
    return str(found)


def read_all(entries: Sequence[Mapping[str, Any]], address: object, network: object) -> list[Worker]:
    """Check the workers of a host.

    :raises InvalidInput: an entry is wrong, or two entries share a name, a port or a device.
    """
    if not entries:
        return []
    there = read_network(network)
    own = read_address("This host", address, there)
    found = [read(entry, own, there) for entry in entries]
    for what, of in (("name", "name"), ("port", "port"), ("device", "device")):
        _unique(what, [(_key(worker, of), worker.name) for worker in found if worker.state != "absent"])
    return found


def read(entry: Mapping[str, Any], address: str, network: Network) -> Worker:
    """Check one worker; values that are None count as not given."""
    name = check_name("worker", entry.get("name"))
    where = f"Worker {name!r}"
    check_keys(where, entry, [field for field in FIELDS if field != "address"])
    given = Given(where, entry)
    client = given.text("client", "")
    return Worker(
        name=name,
        state=given.choice("state", STATES, "started"),
        port=int(given.whole("port", 1024, 65535, default=DEFAULT_PORT)),
        address=address,
        client=read_address(f"{where}: its head", client, network) if client else "",
        devices=_device(where, given),
        threads=given.whole("threads", 1, 4096),
        cache_quota=to_bytes(f"{where}: cache_quota", given.get("cache_quota", 0)),
        memory_max=to_bytes(f"{where}: memory_max", given.get("memory_max")) if "memory_max" in given else None,
        build=given.text("build", "active"),
    )


def _device(where: str, given: Given) -> Devices | None:
    if given.get("devices") in (None, "none"):
        return None
    found = placement.devices(where, given.get("devices"))
    if found is None or len(found.ids) != 1:
        raise InvalidInput(
            f"{where} must name one GPU in devices, or none for the processor.",
            "A head sees one device behind each worker: list one worker a GPU, on ports of their own.",
        )
    return found


def _key(worker: Worker, of: str) -> object:
    if of == "device":
        return worker.devices.ids[0] if worker.devices else None
    return getattr(worker, of)


def _unique(what: str, found: Sequence[tuple[object, str]]) -> None:
    seen: dict[object, str] = {}
    for value, name in found:
        if value is not None and value in seen:
            raise InvalidInput(f"The {what} {value} is given to two workers ({seen[value]} and {name}).")
        seen[value] = name
