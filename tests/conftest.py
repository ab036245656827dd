# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all tests may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fixtures import local_hub
from hypothesis import HealthCheck, settings

# a loaded machine makes slow inputs, not wrong ones
settings.register_profile("loaded", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("loaded")


@pytest.fixture
def hub() -> Iterator[local_hub.LocalHub]:
    """A Hugging Face hub and its CDN on loopback."""
    with local_hub.serving() as found:
        yield found
