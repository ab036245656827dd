# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The front of an instance: HAProxy on this host, which keeps requests waiting while the server behind it is replaced.

The role llama_front writes its configuration; here stands what an instance says about it, and how a change holds
requests back and lets them go on, by the runtime interface (HAProxy management guide, "Unix Socket commands").
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ..errors import Busy, CommandFailed, InvalidInput
from ..host import ports as listeners
from ..names import check_keys
from . import network, values

SOCKET = "/run/llama-front/admin.sock"
UNIT = "llama-front.service"
KEYS = ("port", "bind", "wait")
WAIT = 600  # seconds a request waits for a server that is being replaced
_MAINTENANCE = 0x01 | 0x02 | 0x20  # forced, inherited, by name: bits of srv_admin_state (management guide)
MAIN, NEXT = "main", "next"  # the server of the unit, and the one that is started beside it during a change


@dataclass(frozen=True)
class Front:
    """Where clients reach an instance, and how long they wait."""

    port: int
    host: str
    wait: int = WAIT


def read(where: str, given: Any, address: str | None) -> Front | None:
    """The key `front` of an instance; None where there is none.

    :param address: what `bind: private` means on this host.
    :raises InvalidInput: a key is unknown, or a value is out of range.
    """
    table = values.table(where, "front", given)
    if not table:
        return None
    check_keys(f"{where}: front", table, KEYS)
    return Front(
        port=values.number(where, "front.port", table.get("port"), 1024, 65535),
        host=network.host(where, table.get("bind", "loopback"), address),
        wait=values.number(where, "front.wait", table.get("wait", WAIT), 0, 86400),
    )


def check(where: str, instance: Any) -> None:
    """Refuse an instance that cannot stand behind its front.

    :raises InvalidInput: it is open itself, speaks TLS, has the port of its front, or the front would be open to all.
    """
    front: Front | None = instance.front
    if front is None:
        return
    if not instance.loopback or instance.socket or instance.tls:
        raise InvalidInput(
            f"{where} has a front, which reaches it by plain HTTP on this host.",
            "Leave out bind and tls of the instance; give the front's own bind.",
        )
    if front.port == instance.port:
        raise InvalidInput(f"{where}: its front has the same port {front.port}.", "Clients use the port of the front.")
    if not network.is_local(front.host) and not instance.keys:
        raise InvalidInput(
            f"{where}: its front would listen on {front.host} without a key, open to whoever reaches that address.",
            "Name at least one key in keys, or use bind: loopback for the front.",
        )


def ports(instances: Sequence[Any]) -> tuple[list[str], list[str]]:
    """The ports that instances and their fronts take on the host, and whose each is."""
    found = [(item.port, item.name) for item in instances if item.port]
    found += [(item.front.port, f"the front of {item.name}") for item in instances if item.front]
    return [str(port) for port, _whose in found], [whose for _port, whose in found]


def require_port(instance: Any, ours: Collection[int]) -> None:
    """Make sure that an instance may have its port.

    :param ours: processes that may hold it: its own, and those that are stopped before it starts.
    :raises Busy: somebody else holds it; the front goes on doing so, for whoever is answered through it.
    """
    if instance.socket:
        return
    holder = listeners.holder(instance.host, instance.port)
    if holder is None or (holder.pid and holder.pid in ours):
        return
    remedy = "Stop that process, or choose another port."
    if holder.unit == UNIT:
        remedy = (
            "That is the front of this host. Choose another port, or take this one from the front first: remove or "
            "change the entry with that front in one run, and give the port to this instance in the next."
        )
    who = f"Instance {instance.name!r} wants port {instance.port}"
    raise Busy(f"{who}, which {listeners.describe(holder)} holds.", remedy)


class Gate:
    """The front of one instance as a change sees it. Without a running front nothing is done."""

    def __init__(self, name: str, path: str = SOCKET) -> None:
        self.backend, self.path = f"llama-{name}", path

    @property
    def there(self) -> bool:
        """Does the front run and know this instance?"""
        return bool(self._states())

    def held(self) -> bool:
        """Does the server of the unit get no requests, since a change that was cut off?"""
        states = self._states()
        return MAIN in states and bool(int(states[MAIN]["srv_admin_state"]) & _MAINTENANCE)

    def hold(self) -> None:
        """Requests that come from now on wait; those that are being answered go on."""
        for server in self._states():
            self._say(f"set server {self.backend}/{server} state maint")

    def admit(self, slots: int, server: str = MAIN, port: int | None = None) -> None:
        """Requests go to this server from now on, at most `slots` at a time; the others wait in order."""
        if not self.there:
            return
        name = f"{self.backend}/{server}"
        if port is not None:
            for backend in (self.backend, f"{self.backend}-looks"):
                self._say(f"set server {backend}/{server} addr 127.0.0.1 port {port}")
        self._say(f"set maxconn server {name} {max(1, slots)}")
        self._say(f"set server {name} health up")
        self._say(f"set server {name} state ready")

    def retire(self, server: str) -> None:
        """Send nothing more to this server; what it answers now goes on."""
        if self.there:
            self._say(f"set server {self.backend}/{server} state maint")

    def busy(self, server: str = MAIN) -> int:
        """How many requests this server is answering."""
        rows = _table(self._ask("show stat"), ",") if self.there else []
        found = [row for row in rows if row.get("pxname") == self.backend and row.get("svname") == server]
        return int(found[0]["scur"]) if found else 0

    def _states(self) -> dict[str, Mapping[str, str]]:
        if not os.path.exists(self.path):
            return {}
        answer = self._ask(f"show servers state {self.backend}")
        rows = _table("\n".join(answer.splitlines()[1:]), " ")
        return {row["srv_name"]: row for row in rows if row.get("srv_name") in (MAIN, NEXT)}

    def _say(self, command: str) -> None:
        answer = self._ask(command).strip()
        # a change that was made already is answered by a sentence too
        if answer and not answer.startswith(("no need", "nothing changed")) and "changed" not in answer:
            raise CommandFailed(f"The front refused '{command}': {answer}.", "Run the role llama_front again.")

    def _ask(self, command: str) -> str:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(5)
                connection.connect(self.path)
                connection.sendall(command.encode() + b"\n")
                return b"".join(iter(lambda: connection.recv(65536), b"")).decode("utf-8", "replace")
        except OSError as exc:
            raise CommandFailed(
                f"The front does not answer at {self.path}: {exc}.", "Look at its log: journalctl -u llama-front."
            ) from exc


def gate(instance: Any) -> Gate:
    """The gate of an instance; one without a front has nothing that holds anything."""
    return Gate(instance.name, SOCKET if instance.front else "")


def entries(instances: Sequence[Any], slots: Mapping[str, int] = MappingProxyType({})) -> list[dict[str, Any]]:
    """What the configuration of the front says, one entry an instance that has one, sorted by name.

    :param slots: of those whose `parallel` is automatic, by name, as it was planned. Where nobody knows, `slots` is 0:
        the queue is in the server then, until a change asks that one.
    """
    return [
        {
            "name": item.name,
            "listen": f"{item.front.host}:{item.front.port}",
            "port": item.port,
            "slots": item.parallel if isinstance(item.parallel, int) else slots.get(item.name, 0),
            "wait": item.front.wait,
        }
        for item in sorted(instances, key=lambda item: str(item.name))
        if item.front is not None and item.state != "absent"
    ]


def _table(text: str, separator: str) -> list[dict[str, str]]:
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return []
    names = lines[0].lstrip("# ").split(separator)
    return [dict(zip(names, line.split(separator))) for line in lines[1:]]
