# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a compile is."""

from __future__ import annotations

import time

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import ninja


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"", None),
        (b"-- Configuring done\n", None),
        (b"[1/20] Building CXX object a.o\n[2/20] Building b.o\nwarning: [19/20] is no step\n", (2, 20)),
        (b"tail of a line [3/20] Building\n[4/20", None),
    ],
)
def test_the_last_step(text, found):
    assert ninja.latest(text) == found


def test_the_line():
    assert ninja.line(100, 400, 90.0) == "compile [100/400] 25 %, 0:01:30, 0:04:30 left"
    assert ninja.line(0, 400, 1.0) == "compile [0/400] 0 %, 0:00:01"


def test_only_what_is_written_meanwhile_counts(tmp_path):
    log, said = tmp_path / "log", []
    log.write_bytes(b"[9/9] of another step\n")
    with ninja.watched(str(log), log.stat().st_size, said.append):
        time.sleep(1.2)
        with log.open("ab") as file:
            file.write(b"[1/4] Building a.o\n")
        time.sleep(1.2)
    assert len(said) == 1
    assert said[0].startswith("compile [1/4] 25 %, 0:00:0")
