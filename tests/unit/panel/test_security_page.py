# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The evidence that docs/panel-security.md names is there."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]


def test_every_test_that_is_named_as_evidence_is_there():
    page = (REPOSITORY / "docs" / "panel-security.md").read_text()
    files = [
        file for level in ("unit", "integration") for file in (REPOSITORY / "tests" / level / "panel").glob("*.py")
    ]
    there = {name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)}
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) > 40 and named <= there, named - there
