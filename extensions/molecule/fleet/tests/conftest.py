# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of the scenario, and the playbooks of the collection run on them as people do."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import testinfra

PLAYBOOKS = Path(__file__).resolve().parents[4] / "playbooks"
INVENTORY = os.environ["MOLECULE_INVENTORY_FILE"]


@dataclass(frozen=True)
class Played:
    """A finished ansible-playbook."""

    rc: int
    output: str


@pytest.fixture(scope="session")
def play():
    """`play(name, *words, **variables)`: run a playbook of the collection."""

    def run(name, *words, **variables):
        argv = ["ansible-playbook", "-i", INVENTORY, str(PLAYBOOKS / f"{name}.yml"), *words]
        argv += ["--extra-vars", json.dumps(variables)] if variables else []
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return Played(done.returncode, done.stdout)

    return run


@pytest.fixture
def rows(play, tmp_path):
    """`rows(*words, **variables)`: exit status, rows by host and instance, and the output of the playbook status."""

    def look(*words, **variables):
        done = play("status", *words, export=str(tmp_path), **variables)
        found = json.loads((tmp_path / "status.json").read_text())
        return done.rc, {(row["host"], row["instance"]): row for row in found}, done.output

    return look


@pytest.fixture(scope="session")
def one():
    """Debian 12: chat for everybody with a key, and embeddings."""
    return testinfra.get_host("ansible://one", ansible_inventory=INVENTORY)
