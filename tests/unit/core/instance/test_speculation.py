# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When speculation is called a loss."""

from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import speculation


@pytest.mark.parametrize(
    ("drafted", "accepted", "with_drafts", "without", "said"),
    [
        (30, 20, 5.0, 9.0, ""),
        (30, 20, 9.0, 5.0, "slower than none: 9.00 against 5.00 ms a token; 20 of 30"),
        (30, 0, 9.0, 5.0, "0 of 30 drafted tokens were accepted"),
        (0, 0, 5.0, 5.0, "nothing was drafted"),
        (30, 20, None, 5.0, ""),
        (30, 0, 5.0, None, "does not help"),
    ],
)
def test_judgement(drafted, accepted, with_drafts, without, said):
    found = {"drafted": drafted, "accepted": accepted, "ms_per_token": with_drafts, "ms_without": without}
    assert said in speculation.judge(found)
    assert bool(said) == bool(speculation.judge(found))
