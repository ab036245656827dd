# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run costs that has nothing to do, on a host of many instances."""

from __future__ import annotations

import json
import os
import subprocess
import time

from hosts import INSTANCES, pid_of

ROLE = {"ansible.builtin.include_role": {"name": "llamaops.llama_cpp.llama_instances"}}
NOTHING = {"ansible.builtin.ping": {}}


def run(folder, *tasks):
    """Seconds that a playbook takes on the host `two`; fails if it changed anything."""
    book = folder / "playbook.json"
    book.write_text(json.dumps([{"hosts": "two", "gather_facts": False, "tasks": list(tasks)}]))
    began = time.monotonic()
    argv = ["ansible-playbook", "-i", os.environ["MOLECULE_INVENTORY_FILE"], str(book)]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0 and "changed=0" in done.stdout, done.stdout
    return time.monotonic() - began


def test_nothing_to_do_is_quick(two, figure, tmp_path):
    units = [f"llama-{name}" for host, name, *_rest in INSTANCES if host == "two"]
    before = [pid_of(two, unit) for unit in units]
    floor, ours = (min(run(tmp_path, task) for _again in range(2)) for task in (NOTHING, ROLE))
    text = f"{ours:.1f} - {floor:.1f} = {ours - floor:.1f} (load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores)"
    figure(f"a run of the role that changes nothing, {len(units)} instances, less one that does nothing, s", text)
    assert [pid_of(two, unit) for unit in units] == before
