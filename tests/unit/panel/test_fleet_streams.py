# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams of hosts: real processes, a script instead of ssh, and hosts that behave well, badly, or not at all."""

from __future__ import annotations

import asyncio
import json
import resource
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from fixtures.simulated_fleet import Peer, SimulatedFleet, instance, load
from llamaops_panel.fleet import inventory
from llamaops_panel.fleet.fleet import Fleet, HostError


async def well(peer: Peer) -> None:
    peer.hello()
    peer.say(kind="load", at=time.time(), **load(1, 0))
    peer.say(kind="status", at=time.time(), instances={"m0": instance(0, "GPU-0")}, workers={}, cordon=None)
    await peer.answer()


def story(
    folder: Path, play: Callable[[Peer], Awaitable[None]], tell: Callable[[Fleet, SimulatedFleet], Awaitable[Any]]
) -> Any:
    async def run() -> Any:
        async with SimulatedFleet(folder, play) as simulated:
            hosts = {"alpha": {"ansible_ssh_executable": str(simulated.ssh)}}
            (folder / "inventory.json").write_text(json.dumps({"all": {"hosts": hosts}}))
            fleet = Fleet([folder / "inventory.json"], folder)
            await fleet.start()
            try:
                async with asyncio.timeout(240):  # three readings of an inventory, on a machine that is busy
                    return await tell(fleet, simulated)
            finally:
                await fleet.stop()

    return asyncio.run(run())


async def until(found: Callable[[], Any]) -> None:
    while not found():
        await asyncio.sleep(0.02)


def state(fleet: Fleet) -> str:
    return fleet.hosts["alpha"].link.state if "alpha" in fleet.hosts else ""


def test_a_host_is_seen_asked_followed_and_looked_at(tmp_path: Path) -> None:
    async def tell(fleet: Fleet, simulated: SimulatedFleet) -> None:
        await until(lambda: state(fleet) == "connected" and fleet.hosts["alpha"].status)
        row = fleet.rows()[0]
        assert (row["instance"], row["state"], row["managed_by"]) == ("m0", "ready", "nobody")
        assert [(item["severity"], item["instance"]) for item in fleet.attention()] == [("error", "m0")] or row[
            "reasons"
        ]
        assert await fleet.ask("alpha", "plan", model="x") == {"do": "plan", "model": "x"}
        with pytest.raises(HostError, match="no"):
            await fleet.ask("alpha", "refuse")
        async for said in fleet.follow("alpha", "logs", name="m0"):
            assert said["lines"][0]["text"] == "red"
            break
        peer = simulated.peers[0]
        with fleet.look("alpha"):
            await until(lambda: peer.interval == 2.0)
        await until(lambda: peer.interval == 15.0)
        assert any(asked["do"] == "cancel" for asked in peer.asked)

    story(tmp_path, well, tell)


def test_a_stream_stays_while_its_host_is_reached_as_before(tmp_path: Path) -> None:
    async def tell(fleet: Fleet, simulated: SimulatedFleet) -> None:
        def write(**more: Any) -> None:
            host = {"ansible_ssh_executable": str(simulated.ssh), **more}
            (tmp_path / "inventory.json").write_text(json.dumps({"all": {"hosts": {"alpha": host}}}))

        await until(lambda: state(fleet) == "connected")
        await until(lambda: fleet.hosts["alpha"].link.latency is not None)
        with fleet.look("alpha"):
            await until(lambda: simulated.peers[0].interval == 2.0)
            write(llama_instances__panel={"chat": {"model": "tiny", "port": 8080}})
            await fleet.reload()
            assert state(fleet) == "connected" and len(simulated.peers) == 1
            assert fleet.hosts["alpha"].variables["llama_instances__panel"]["chat"]["port"] == 8080
            write(llama_root="/srv/llama")
            await fleet.reload()
            await until(lambda: len(simulated.peers) == 2 and simulated.peers[1].interval == 2.0)

    story(tmp_path, well, tell)


def test_hostile_lines_harm_nobody(tmp_path: Path) -> None:
    async def badly(peer: Peer) -> None:
        peer.hello()
        for line in (
            b"{",
            b"[1]",
            b"null",
            b"[" * 100_000,
            b'{"kind":7}',
            b'{"kind":"__class__"}',
            b'{"id":true}',
            b"\xff",
        ):
            peer.raw(line + b"\n")
        peer.raw(b"x" * (3 << 20) + b"\n")
        peer.say(kind="load", at="now", gpus={"a": 1}, disks=[1, {"path": "\x1b]0;evil\x07/", "total": 1, "free": 0}])
        evil = {
            "m0": [],
            "m1": {"state": 5},
            "\x1b[2Jm2": {**instance(2, "GPU-0"), "memory": 4, "uptime": "x", "devices": 3},
        }
        peer.say(kind="status", at=1e12, instances=evil, cordon="x", workers=[])
        await peer.answer()

    async def tell(fleet: Fleet, simulated: SimulatedFleet) -> None:
        await until(lambda: state(fleet) == "connected" and fleet.hosts["alpha"].status)
        names = [row["instance"] for row in fleet.rows()]
        assert names == ["m2"] and "1 MiB" in fleet.hosts["alpha"].link.error
        assert "\x1b" not in json.dumps([fleet.hosts["alpha"].load, fleet.rows(), fleet.attention()]).replace(
            "\\u001b", "\x1b"
        )
        assert any(item["what"] == "clock" for item in fleet.attention())
        assert (await fleet.ask("alpha", "plan"))["do"] == "plan"

    story(tmp_path, badly, tell)


def test_output_without_end_takes_no_memory(tmp_path: Path) -> None:
    sent = 0

    async def endless(peer: Peer) -> None:
        nonlocal sent
        peer.hello()
        for _turn in range(100):
            peer.raw(b"y" * (1 << 20))
            sent += 1 << 20
            await peer.writer.drain()

    async def tell(fleet: Fleet, simulated: SimulatedFleet) -> int:
        await until(lambda: state(fleet) == "connected")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await until(lambda: sent >= 100 << 20)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    assert story(tmp_path, endless, tell) < 30 << 10  # KiB


def test_a_lost_stream_is_shown_and_comes_back(tmp_path: Path) -> None:
    turns = 0

    async def twice(peer: Peer) -> None:
        nonlocal turns
        turns += 1
        peer.hello()
        if turns > 1:
            await peer.answer()

    async def tell(fleet: Fleet, simulated: SimulatedFleet) -> None:
        await until(lambda: state(fleet) == "lost")
        link = fleet.hosts["alpha"].link
        assert link.error and link.retry_at and fleet.attention()[0]["what"] == "not connected"
        with pytest.raises(HostError, match="not connected"):
            await fleet.ask("alpha", "plan")
        await until(lambda: state(fleet) == "connected")
        assert turns == 2 and not fleet.hosts["alpha"].link.error

    story(tmp_path, twice, tell)


def test_a_host_without_the_command_says_what_helps(tmp_path: Path) -> None:
    hosts = {"here": {"ansible_connection": "local", "llama_root": str(tmp_path / "none")}}
    (tmp_path / "inventory.json").write_text(json.dumps({"all": {"hosts": hosts}}))

    async def run() -> None:
        fleet = Fleet([tmp_path / "inventory.json"], tmp_path)
        await fleet.start()
        await asyncio.wait_for(until(lambda: fleet.hosts and fleet.hosts["here"].link.state == "lost"), 120)
        assert "site" in fleet.hosts["here"].link.remedy
        (tmp_path / "inventory.json").write_text("[odd:section]\n")
        await fleet.reload()
        assert "here" in fleet.hosts and fleet.error and fleet.attention()[0]["what"] == "inventory"
        (tmp_path / "inventory.json").write_text('{"all": {"hosts": {}}}')
        await fleet.reload()
        assert fleet.hosts == {} and not fleet.error
        await fleet.stop()

    asyncio.run(run())


@pytest.mark.parametrize("talks", ["/bin/cat", "/usr/bin/yes"], ids=["never", "always"])
def test_it_can_be_stopped_at_any_moment(tmp_path: Path, talks: str) -> None:
    hosts = {f"h{number}": {"ansible_ssh_executable": talks} for number in range(8)}
    (tmp_path / "inventory.json").write_text(json.dumps({"all": {"hosts": hosts}}))

    async def run() -> None:
        known = await inventory.read([str(tmp_path / "inventory.json")], tmp_path, {})
        for pause in (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2):
            fleet = Fleet([tmp_path / "inventory.json"], tmp_path)
            await fleet._take_over(known.hosts)
            await asyncio.sleep(pause)
            await asyncio.wait_for(fleet.stop(), 20)
            assert {host.link.state for host in fleet.hosts.values()} == {"off"}

    asyncio.run(run())
