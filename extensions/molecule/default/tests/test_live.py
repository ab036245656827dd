# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's streams of the two hosts over real SSH, and llama-host on them. No port is opened for it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
import testinfra

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "panel"))
from llamaops_panel.fleet.fleet import Fleet

INVENTORY = os.environ["MOLECULE_INVENTORY_FILE"]
EPHEMERAL = 32768  # the kernel's own choices for outgoing connections begin here and do not listen


async def open_ports(address: str) -> set[int]:
    """A scan of every TCP port of a host."""
    door, found = asyncio.Semaphore(200), set()

    async def knock(port: int) -> None:
        async with door:
            try:
                _reader, writer = await asyncio.wait_for(asyncio.open_connection(address, port), 5)
            except OSError:
                return
            found.add(port)
            writer.close()

    await asyncio.gather(*(knock(port) for port in range(1, 65536)))
    return found


async def there(fleet: Fleet) -> None:
    async for _names in fleet.watch():
        if fleet.hosts and all(host.status and host.facts for host in fleet.hosts.values()):
            return


def test_hosts_are_streamed_over_ssh_and_open_no_port() -> None:
    async def story() -> None:
        fleet = Fleet([INVENTORY], Path(INVENTORY).parent.parent, {"ANSIBLE_CONFIG": os.environ["ANSIBLE_CONFIG"]})
        await fleet.start()
        while not fleet.hosts:
            await asyncio.sleep(0.05)
        address = str(fleet.hosts["one"].variables["ansible_host"])
        await fleet.stop()
        before = await open_ports(address)
        assert 22 in before
        await fleet.start()
        try:
            await asyncio.wait_for(there(fleet), 60)
            with fleet.look("one"):
                assert await open_ports(address) == before
            rows = {(row["host"], row["instance"]): row for row in fleet.rows()}
            assert {key: (row["state"], row["managed_by"]) for key, row in rows.items()} == {
                ("one", "chat"): ("ready", "inventory"),
                ("one", "embed"): ("ready", "inventory"),
                ("two", "chat"): ("ready", "inventory"),
            }
            assert [row["reasons"] for row in rows.values()] == [[], [], []]
            assert "a-key-for-the-lab-only" not in str([host.variables for host in fleet.hosts.values()])
            async for said in fleet.follow("one", "logs", name="chat", lines=5):
                assert said["lines"][0]["at"] > 0
                break
            assert (await fleet.ask("one", "probe", name="chat"))["tokens"] > 0
        finally:
            await fleet.stop()
        assert await open_ports(address) == before

    asyncio.run(story())


@pytest.mark.parametrize("name", ["one", "two"])
def test_llama_host_is_where_people_look(name: str) -> None:
    host = testinfra.get_host(f"ansible://{name}", ansible_inventory=INVENTORY)
    table = host.check_output("/opt/llama/bin/llama-host status").splitlines()
    assert table[0].split()[0] == "instance" and all(line.split()[1] == "ready" for line in table[1:])
    assert json.loads(host.check_output("/opt/llama/bin/llama-host status --json"))["manager"] == "systemd"
    assert host.check_output("/opt/llama/bin/llama-host logs chat --lines 1")
