# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""However much happens, a reader is told at most four times a second, and misses no name."""

from __future__ import annotations

import asyncio

from llamaops_panel.fleet.notices import Notices


def test_changes_are_gathered_and_none_is_lost() -> None:
    async def story() -> list[set[str]]:
        notices, told = Notices(), []

        async def read() -> None:
            async for names in notices.watch():
                told.append(names)

        reader = asyncio.create_task(read())
        await asyncio.sleep(0)
        for number in range(60):
            notices.tell(f"host{number}")
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        reader.cancel()
        return told

    told = asyncio.run(story())
    assert told[0] == {"host0"}  # the first at once
    assert set().union(*told) == {f"host{number}" for number in range(60)}
    assert len(told) <= 5


def test_a_reader_that_leaves_is_forgotten() -> None:
    async def story() -> int:
        notices = Notices()
        reader = notices.watch()
        first = asyncio.ensure_future(anext(reader))
        await asyncio.sleep(0)
        notices.tell("alpha")
        assert await first == {"alpha"}
        await reader.aclose()
        return len(notices._readers)

    assert asyncio.run(story()) == 0
