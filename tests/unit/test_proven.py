# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/supervision.md says is shown is shown: its tests exist, and each mode is in their lists."""

from __future__ import annotations

import re
from pathlib import Path

import proven

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs/supervision.md").read_text(encoding="utf-8")


def test_the_table_of_modes_is_that_of_the_tests() -> None:
    assert proven.table() in PAGE, "run tests/proven.py and put what it prints into docs/supervision.md"


def test_every_cell_says_by_whom() -> None:
    rows = [line.strip("|").split("|") for line in proven.table().splitlines()[2:]]
    open_cells = {
        (row[0].strip(), column) for row in rows for column, cell in zip(proven.COLUMNS, row[1:]) if " no " in cell
    }
    assert open_cells == set()


def test_every_fault_is_shown_by_tests_that_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    there = {
        name for file in [*proven.LAB.glob("test_*.py"), *proven.HERE.glob("test_*.py")] for name in proven.names(file)
    }
    assert len(named) > 12 and named - there == set()
