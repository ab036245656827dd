# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a worker closed to all but its head? systemd says nothing where the kernel cannot enforce IPAddressDeny=."""

from __future__ import annotations

import ipaddress
import socket

SECONDS = 1.0


def stands(address: str, port: int, seconds: float = SECONDS) -> bool:
    """Whether a worker of this host takes no connection of a stranger: of a loopback address, which is no head's."""
    stranger = "127.0.0.1" if ipaddress.ip_address(address).version == 4 else "::1"
    try:
        socket.create_connection((address, port), seconds, (stranger, 0)).close()
    except OSError:
        return True
    return False
