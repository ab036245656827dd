# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands in the hosts of this scenario, and playbooks on them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[4]
INVENTORY, LAB_SH, BUILD = (os.environ[name] for name in ("MOLECULE_INVENTORY_FILE", "LAB_SH", "LAB_BUILD_ID"))


def sh(host, *words, check=True):
    """Run a command in a host without SSH."""
    done = subprocess.run([LAB_SH, "sh", host, *words], check=False, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def start(playbook, host, **variables):
    given = json.dumps({"llama_hosts": host, **variables})
    argv = ["ansible-playbook", "-i", INVENTORY, "-e", given, str(REPOSITORY / "playbooks" / f"{playbook}.yml")]
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ended(process, rc=0):
    """The output of a run, and how many tasks changed something."""
    output = process.communicate(timeout=180)[0]
    assert process.returncode == rc, output
    return output, sum(int(number) for number in re.findall(r"changed=(\d+)", output))


def play(playbook, host, rc=0, **variables):
    return ended(start(playbook, host, **variables), rc)


def wait_until(met, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := met()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert found
    return found
