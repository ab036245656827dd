# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A compile shows how far it is, and outlives the play that began it."""

from __future__ import annotations

import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fixtures.upstream import active


def children(pid: int) -> list[int]:
    """The processes below one; a job of the host is none of them any more."""
    words = [word for path in Path(f"/proc/{pid}/task").glob("*/children") for word in path.read_text().split()]
    return [each for child in map(int, words) for each in (*children(child), child)]


def test_a_play_that_is_killed_leaves_the_compile_at_work_and_the_next_one_watches_it(upstream, root, play, tmp_path):
    flag = tmp_path / "flag"
    upstream.commit(f"slow {flag}")
    args = {"root": str(root), "scope": "user", "backend": "cpu", "source": upstream.source()}
    begun = {"ansible.builtin.file": {"path": "{{ begun }}", "state": "touch"}}
    plays = [{"hosts": "localhost", "gather_facts": False, "tasks": [begun, {"llamaops.llama_cpp.llama_build": args}]}]
    marks = [tmp_path / "first", tmp_path / "second"]
    with ThreadPoolExecutor() as pool:
        first = pool.submit(play, plays, {"begun": str(marks[0])})
        while not list(root.glob("work/jobs/*.jid")) or not Path(f"{flag}.started").exists():
            assert not first.done(), first.result().output
            time.sleep(0.1)
        for pid in children(os.getpid()):
            os.kill(pid, signal.SIGKILL)
        assert first.result().rc < 0
        second = pool.submit(play, plays, {"begun": str(marks[1]), "llama_progress_every": 1})
        while not marks[1].exists():
            time.sleep(0.1)
        time.sleep(10)  # the second play must come to look at it
        flag.touch()
        done = second.result()
    assert done.rc == 0 and done.result("llama_build")["compiled"], done.output
    assert "[localhost] goes on watching a run that was begun before: compile" in done.output, done.output
    assert re.search(r"compile \[\d+/\d+\] \d+ %, 0:00:\d\d, 0:00:\d\d left", done.output), done.output
    assert active(root) == done.result("llama_build")["build_id"]
    assert not list(root.glob("work/jobs/llama-build-*")), "nothing of the job is left"
