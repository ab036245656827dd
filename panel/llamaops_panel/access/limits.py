# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often somebody may try to log in. Pure: the time is given.

A name and an address each have a few tries, then must wait, longer after each failure and a minute at most. A browser
that logged in before brings the cookie of a known device, which has tries of its own: thousands of wrong logins from
elsewhere do not keep its user out.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

FREE = 5  # failures that cost no waiting
LONGEST = 60.0  # seconds
FORGOTTEN = 900.0  # seconds after which a failure no longer counts
KEPT = 20_000  # keys; the one that failed longest ago goes first


@dataclass
class Failures:
    count: int
    last: float


class LoginLimits:
    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], Failures] = OrderedDict()

    def wait(self, name: str, address: str, device: str | None, now: float) -> float:
        """Seconds to wait before the next try; 0 if it may be made now."""
        return max(self._wait(key, now) for key in _keys(name, address, device))

    def failed(self, name: str, address: str, device: str | None, now: float) -> None:
        for key in _keys(name, address, device):
            found = self._failures.pop(key, None)
            count = found.count if found and now - found.last < FORGOTTEN else 0
            self._failures[key] = Failures(count + 1, now)
        while len(self._failures) > KEPT:
            self._failures.popitem(last=False)

    def succeeded(self, name: str, address: str, device: str | None) -> None:
        for key in _keys(name, address, device):
            self._failures.pop(key, None)

    def _wait(self, key: tuple[str, str], now: float) -> float:
        found = self._failures.get(key)
        if found is None or found.count < FREE or now - found.last >= FORGOTTEN:
            return 0.0
        pause = min(2.0 ** min(found.count - FREE, 10), LONGEST)  # days of tries must not overflow it
        return max(0.0, found.last + pause - now)


def _keys(name: str, address: str, device: str | None) -> list[tuple[str, str]]:
    if device is not None:
        return [("device", device)]
    return [("name", name[:40]), ("address", _network(address))]


def _network(address: str) -> str:
    """The address, or of IPv6 the network of a site, which has more addresses than we could remember."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)
