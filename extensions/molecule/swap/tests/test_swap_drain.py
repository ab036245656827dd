# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens in the middle of a drain: answers that never end, a playbook that is killed, a host that is cordoned."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from pathlib import Path

BUILD = os.environ["LAB_BUILD_ID"]
HANGS = BUILD[:-8] + "dddddddd"

PLAYBOOK = ["ansible-playbook", "-i", os.environ["MOLECULE_INVENTORY_FILE"], "llamaops.llama_cpp.deploy"]


def broken_off(answers):
    """None of the answers came to its end, and each was under way."""
    return [answer for answer in answers if answer["ended"] or answer["tokens"] < 100] == []


def test_answers_that_never_end_are_broken_off_and_counted(one, figure):
    """One at the server that runs, one at the server beside it, before that gives way to the one of the unit."""
    one.converge()
    wanted = {"port": 18080, "front": {"port": 8080, "bind": "public"}, "parallel": 3, "drain_timeout": 4}
    argv = [*PLAYBOOK, "--limit", "one", "-e", json.dumps({"llama_instances": {"chat": wanted}})]
    with one.asked() as requests, one.endless("llama-chat") as second, one.endless() as first:
        said = subprocess.run(argv, capture_output=True, text=True, check=False)
    said = " ".join((said.stdout + said.stderr).split())
    assert "2 of its answers took longer than drain_timeout (4 s) and broke off" in said, said
    assert broken_off([first, second])
    figure("answers without an end, beside", {key: requests[key] for key in ("count", "longest")})
    assert requests["failed"] == []
    assert one.units() == ["llama-chat.service"] and one.props()["total_slots"] == 3


def test_a_change_that_fails_tells_what_it_broke_off(two, figure):
    two.converge()
    with two.asked() as requests, two.endless() as answer:
        result = two.converge(build=HANGS, start_timeout=3, drain_timeout=4)
    figure("failed swap with an answer without an end, in_place", {key: requests[key] for key in ("count", "longest")})
    assert result["restored"] and result["cut"] == 1 and broken_off([answer]), result
    assert "1 of its answers took longer than drain_timeout (4 s) and broke off. Its command" in result["msg"]
    assert requests["failed"] == [] and two.show("llama-chat", "ActiveState") == "active"


def test_a_playbook_that_is_killed_in_the_middle_of_a_drain_is_ended_by_the_next(two, figure):
    """The module on the host may go on by itself or not: the next run waits for it, and ends what it left."""
    two.converge()
    wanted = {"port": 18080, "front": {"port": 8080}, "ctx_size": 1048576, "parallel": 3}
    argv = [*PLAYBOOK, "--limit", "two", "-e", json.dumps({"llama_instances": {"chat": wanted}})]
    with two.asked() as requests, two.endless() as answer:
        playbook = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        two.until_held()
        for pid in [*descendants(playbook.pid), playbook.pid]:
            os.kill(pid, signal.SIGKILL)
        playbook.wait()
        ended = two.converge(parallel=3)
    figure("playbook killed while it drained, in_place", {key: requests[key] for key in ("count", "longest")})
    assert "instances" in ended, ended
    assert requests["failed"] == [] and broken_off([answer])
    assert two.props()["total_slots"] == 3 and two.show("llama-chat", "ActiveState") == "active"
    assert not two.converge(parallel=3)["changed"]


def test_a_cordon_waits_for_a_change_that_drains_and_the_front_holds_what_comes(two, figure):
    two.converge(parallel=3)
    changed, cordoned = {}, {"root": "/opt/llama", "reason": "new disk", "drain_timeout": 30}
    with two.asked() as requests, two.endless() as answer:
        change = threading.Thread(target=lambda: changed.update(two.converge(drain_timeout=6)))
        change.start()
        two.until_held()
        said = two.host.ansible("llamaops.llama_cpp.llama_cordon", json.dumps(cordoned), check=False)
        change.join()
        state = two.show("llama-chat", "ActiveState")
        lifted = {"root": "/opt/llama", "state": "uncordoned"}
        two.host.ansible("llamaops.llama_cpp.llama_cordon", json.dumps(lifted), check=False)
        back = two.converge()
    figure("cordoned in the middle of a change, and back", {key: requests[key] for key in ("count", "longest")})
    chat = changed["instances"]["chat"]  # it came to its end before
    assert (chat["change"], chat["actions"], chat["cut"]) == ("in_place", ["write", "restart"], 1), chat
    assert (said["stopped"], said["cut"], state) == (["chat"], 0, "inactive")
    assert back["instances"]["chat"]["actions"] == ["start"]
    assert requests["failed"] == [] and broken_off([answer])
    assert two.props()["total_slots"] == 2


def descendants(pid):
    """All processes below one, the youngest first; each was started by it."""
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            found += [*descendants(child), child]
    return found
