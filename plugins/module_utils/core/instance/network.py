# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an instance listens, and how its own host reaches it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInput
from ..names import check_keys
from . import values

LONGEST_SOCKET_PATH = 107  # sun_path of unix(7), with its final zero


@dataclass(frozen=True)
class Tls:
    """Absolute paths of a PEM certificate (with its chain) and of its private key."""

    cert: str
    key: str


def host(where: str, bind: Any, address: str | None) -> str:
    """What `--host` gets: an IP address, or the path of a socket.

    :param address: what `private` means on this host.
    """
    if isinstance(bind, str) and bind.startswith("/"):
        return _socket(where, bind)
    known = {"loopback": "127.0.0.1", "public": "0.0.0.0", "private": address}
    wanted = known.get(bind, bind) if isinstance(bind, str) else None
    if bind == "private" and not address:
        raise InvalidInput(f"{where} has bind: private and this host has no address.", "Set llama_address.")
    try:
        return str(ipaddress.ip_address(wanted or ""))
    except ValueError:
        raise InvalidInput(
            f"{where} cannot bind to {bind!r}.",
            "Use loopback, private, public, one IP address of the host, or the path of a socket that ends in .sock.",
        ) from None


def _socket(where: str, path: str) -> str:
    values.path(where, "bind", path)
    if not path.endswith(".sock") or "," in path or len(path.encode()) > LONGEST_SOCKET_PATH:
        raise InvalidInput(
            f"{where} cannot bind to the socket {path!r}.",
            f"Its path ends in .sock, has no comma and at most {LONGEST_SOCKET_PATH} bytes.",
        )
    return path


def tls(where: str, value: Any) -> Tls:
    """The dictionary `tls`."""
    given = values.table(where, "tls", value)
    check_keys(f"{where}: tls", given, ("cert", "key"))
    return Tls(*(values.path(where, f"tls.{key}", given.get(key)) for key in ("cert", "key")))


def is_local(host: str) -> bool:
    """True when only this host reaches it."""
    return host.startswith("/") or ipaddress.ip_address(host).is_loopback


def url(host: str, port: int, tls: Tls | None = None) -> str:
    """How the probe reaches it from its own host; `#FILE` names the certificate that the server must show."""
    if host.startswith("/"):
        return f"unix:{host}"
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        address = ipaddress.ip_address("::1" if address.version == 6 else "127.0.0.1")
    shown = f"[{address}]" if address.version == 6 else str(address)
    return f"https://{shown}:{port}#{tls.cert}" if tls else f"http://{shown}:{port}"
