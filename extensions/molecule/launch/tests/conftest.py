# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of the scenario, and figures that the run prints at its end."""

from __future__ import annotations

import os

import pytest
import testinfra

FIGURES: list[str] = []


@pytest.fixture(scope="session")
def one():
    """Debian 12: serves chat to everybody with a key, embeddings and a model that sleeps to itself."""
    return testinfra.get_host("ansible://one", ansible_inventory=os.environ["MOLECULE_INVENTORY_FILE"])


@pytest.fixture(scope="session")
def two():
    """Debian 13: serves chat to itself."""
    return testinfra.get_host("ansible://two", ansible_inventory=os.environ["MOLECULE_INVENTORY_FILE"])


@pytest.fixture
def figure():
    """`figure(name, value)`: something measured, for the end of the run."""
    return lambda name, value: FIGURES.append(f"{name}: {value}")


def pytest_terminal_summary(terminalreporter):
    for line in FIGURES:
        terminalreporter.write_line(f"measured  {line}")
