# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which actions follow from what is wanted and what is."""

from __future__ import annotations

import dataclasses
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.host import process
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import (
    change,
    cmdline,
    definition,
    naming,
    previous,
    unit,
)
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.change import Step
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.previous import Previous
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.service import Status
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.supervisor import Supervisor
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree

OLD = "[Service]\nExecStart=/a --port 1\nUMask=0077\n"
HARDENED = "[Service]\nExecStart=/a --port 1\nUMask=0007\n"
NEW = "[Service]\nExecStart=/a --port 2\nUMask=0077\n"
RUNS, STOPPED = Status(True, 1, enabled=True), Status(False, enabled=True)


def step(before, after, status, keys=(None, None), **fields):
    item = definition.read({"name": "chat", "model": "tiny", "port": 8080, **fields})
    return change.decide(Step(item, (), status, before, after, None, *keys))


@pytest.mark.parametrize(
    ("found", "actions", "pending"),
    [
        (step(None, NEW, Status(False)), ("write", "start"), False),
        (step(OLD, OLD, RUNS), (), False),
        (step(OLD, OLD, STOPPED), ("start",), False),
        (step(OLD, NEW, RUNS), ("write", "restart"), False),
        (step(OLD, NEW, STOPPED), ("write", "start"), False),
        (step(OLD, HARDENED, RUNS), ("write",), True),
        (step(OLD, HARDENED, RUNS, restart="always"), ("write", "restart"), False),
        (step(OLD, NEW, RUNS, restart="never"), ("write",), True),
        (step(OLD, OLD, RUNS, restart="always"), (), False),
        (step(OLD, OLD, RUNS, state="restarted"), ("restart",), False),
        (step(OLD, OLD, RUNS, state="restarted", restart="never"), ("restart",), False),
        (step(OLD, OLD, STOPPED, state="restarted"), ("start",), False),
        (step(OLD, OLD, RUNS, state="stopped"), ("stop", "disable"), False),
        (step(OLD, OLD, Status(False), state="stopped"), (), False),
        (step(None, NEW, Status(False), state="stopped"), ("write",), False),
        (step(OLD, OLD, Status(True, 1, enabled=False)), ("enable",), False),
        (step(OLD, OLD, RUNS, keys=("a", "b")), ("keys", "restart"), False),
    ],
)
def test_actions(found, actions, pending):
    assert (found.actions, found.restart_pending) == (actions, pending)


ADOPTED = Status(True, 1, enabled=True, adopted=True)


@pytest.mark.parametrize(
    ("found", "actions", "pending"),
    [
        (step(OLD, OLD, ADOPTED, adopt=True), (), True),
        (step(OLD, NEW, ADOPTED, adopt=True), ("write",), True),
        (step(OLD, OLD, ADOPTED, adopt=True, state="restarted"), ("restart",), False),
        (step(OLD, NEW, ADOPTED), ("write", "restart"), False),  # the key was removed from the inventory
        (step(OLD, OLD, ADOPTED, adopt=True, state="stopped"), ("stop", "disable"), False),
    ],
)
def test_an_adopted_process_waits_for_a_planned_restart(found, actions, pending):
    assert (found.actions, found.restart_pending) == (actions, pending)


@pytest.fixture
def sleeping():
    with subprocess.Popen(["sleep", "60"]) as child:
        while not process.arguments(child.pid):
            time.sleep(0.01)
        yield child.pid
        child.kill()


@pytest.mark.parametrize(
    ("argv", "keys", "actions"),
    [
        (("sleep", "60"), (None, None), ("write",)),
        (("sleep", "60"), ("a", "a"), ("write", "keys")),  # the file of the keys was deleted as well
        (("sleep", "61"), (None, None), ("write", "restart")),
        (("sleep", "60"), ("b", "a"), ("write", "keys", "restart")),
    ],
)
def test_a_deleted_unit_file_is_written_again_for_the_process_it_belongs_to(sleeping, argv, keys, actions):
    item = definition.read({"name": "chat", "model": "tiny", "port": 8080})
    wanted = unit.Launch(item, cmdline.Command({}, argv), {}, (), "/probe", 60)
    before = Step(item, (), Status(True, sleeping, enabled=True, started=NOW), None, NEW, wanted)
    found = change.decide(dataclasses.replace(before, keys_running=keys[0], keys_after=keys[1]))
    assert found.actions == actions
    assert (found.restores, found.restart_pending) == ("restart" not in actions, False)


NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("written", "pending"),
    [
        (NOW - 60, False),
        (NOW + 60, True),  # the unit was written while it ran
        (NOW * 2, False),  # written in the future: somebody set the clock
    ],
)
def test_a_unit_written_after_the_start_waits_for_a_restart(written, pending):
    runs = Status(True, 1, enabled=True, started=NOW)
    item = definition.read({"name": "chat", "model": "tiny", "port": 8080})
    found = change.decide(Step(item, (), runs, OLD, OLD, written=written))
    assert (found.actions, found.restart_pending) == ((), pending)


def test_a_changed_watchdog_is_written_and_nothing_waits_for_a_restart():
    item = definition.read({"name": "chat", "model": "tiny", "port": 8080})
    found = change.decide(Step(item, (), RUNS, OLD, OLD, beside={"/w": "new"}, beside_before={"/w": "old"}))
    assert (found.actions, found.restart_pending) == (("write",), False)


@pytest.mark.parametrize(
    ("left", "status", "after", "actions"),
    [
        ({"held": True}, RUNS, OLD, ("admit",)),
        ({"successor": True}, RUNS, OLD, ("admit",)),
        ({"held": True}, STOPPED, OLD, ("start",)),  # which ends in letting requests go on, too
        ({"held": True, "successor": True}, RUNS, NEW, ("write", "restart")),
        ({"previous": Previous(NEW)}, RUNS, OLD, ("admit",)),  # which ends in the proof that is missing
        ({"previous": Previous(OLD)}, Status(False, waiting=True, enabled=True), NEW, ("write", "start")),
    ],
)
def test_what_a_change_that_was_cut_off_left_is_put_right(left, status, after, actions):
    item = definition.read({"name": "chat", "model": "tiny", "port": 8080})
    assert change.decide(Step(item, (), status, OLD, after, **left)).actions == actions


def test_a_server_left_beside_one_that_shall_stand_still_is_stopped():
    item = definition.read({"name": "chat", "model": "tiny", "port": 8080, "state": "stopped"})
    assert change.decide(Step(item, (), Status(False), OLD, OLD, successor=True)).actions == ("stop",)
    assert change.decide(Step(item, (), Status(False), OLD, OLD, previous=Previous(OLD))).actions == ("stop",)


def test_what_was_proven_last_is_kept_until_the_change_is_over_and_its_keys_are_nobody_elses(tmp_path):
    tree = Tree(str(tmp_path), "user")
    proven = Previous("unit one", {"/w": "watches"}, "key\n", None)
    previous.keep(tree, "chat", proven)
    assert Path(previous.path(tree, "chat")).stat().st_mode & 0o777 == 0o600
    previous.keep(tree, "chat", Previous("of a run that was killed, and never proven"))
    assert previous.read(tree, "chat") == proven
    previous.forget(tree, "chat")
    assert previous.read(tree, "chat") is None
    Path(previous.path(tree, "chat")).write_text('{"schema": 99, "unit": "x"}')
    with pytest.raises(InvalidInput, match="schema 99"):
        previous.read(tree, "chat")


def test_what_is_started_beside_an_instance_is_none_itself(tmp_path):
    with pytest.raises(InvalidInput, match="two dashes"):
        definition.read({"name": "chat--next", "model": "tiny", "port": 8080})
    manager = Supervisor(Tree(str(tmp_path), "user"))
    for name in ("chat", naming.successor("chat")):
        path = Path(manager.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"[program:x]\n[X-LlamaOps]\nInstance={name}\n")
    assert manager.managed() == ["chat"]
    assert change.orphans(manager, []) == ["chat"]
    assert naming.instance_of("chat--next") == naming.instance_of("chat") == "chat"
