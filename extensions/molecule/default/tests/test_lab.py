# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab itself: what it starts outlives its caller, and keeps nothing of it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def test_a_lab_keeps_no_descriptor_of_its_caller(tmp_path):
    """A lock that a caller holds ends with the caller."""
    lab = [os.environ["LAB_SH"]]
    env = {**os.environ, "LAB": os.environ.get("LAB", "llab") + "x", "LAB_STATE": str(tmp_path / "lab")}
    lock = tmp_path / "lock"
    with lock.open("w") as held:
        subprocess.run([*lab, "up"], env=env, check=True, pass_fds=[held.fileno()])
    try:
        process = Path("/proc") / (tmp_path / "lab" / "slirp.pid").read_text().strip()
        assert (process / "comm").read_text().strip() == "slirp4netns"
        assert str(lock) not in [os.readlink(item) for item in (process / "fd").iterdir()]
    finally:
        subprocess.run([*lab, "down"], env=env, check=True)
