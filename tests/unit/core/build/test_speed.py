# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as slower."""

from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import speed


def test_of_each_the_best_run_counts():
    assert speed.best({}, {"pp": 1.0}) == {"pp": 1.0}
    assert speed.best({"pp": 5.0, "tg": 1.0}, {"pp": 4.0, "tg": 2.0}) == {"pp": 5.0, "tg": 2.0}


@pytest.mark.parametrize(
    ("new", "ratio", "found"),
    [
        ({"pp": 100.0, "tg": 10.0}, 0.9, []),
        ({"pp": 90.0, "tg": 9.0}, 0.9, []),
        ({"pp": 89.9, "tg": 20.0}, 0.9, ["pp"]),
        ({"pp": 500.0, "tg": 8.9}, 0.9, ["tg"]),
        ({"pp": 100.0}, 0.9, ["tg"]),
        ({"pp": 100.0, "tg": 10.0}, 1.1, ["pp", "tg"]),
    ],
)
def test_slower_in_any_test_is_slower(new, ratio, found):
    assert speed.slower({"pp": 100.0, "tg": 10.0}, new, ratio) == found
