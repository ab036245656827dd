# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes as people write them."""

from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import sizes
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "size"),
    [("8GiB", 8 << 30), ("8G", 8 << 30), ("1.5 MB", 3 << 19), (4096, 4096), ("7", 7), ("1tib", 1 << 40)],
)
def test_sizes(text, size):
    assert sizes.to_bytes("x", text) == size


@pytest.mark.parametrize("text", ["", "G", "-1G", "8 apples", True, None, "1e9"])
def test_what_is_no_size(text):
    with pytest.raises(InvalidInput, match="x must be a size"):
        sizes.to_bytes("x", text)


def test_for_people():
    assert [sizes.human(size) for size in (5, 1536, 8 << 30, 3 << 40)] == ["5 B", "1.5 KiB", "8.0 GiB", "3.0 TiB"]
