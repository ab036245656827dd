# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever happens to a build, what was active stays active, and the next run goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from building_runs import small_disk, wait_for
from fixtures.upstream import active, names


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("does not configure", "this tree cannot be configured"),
        ("does not compile", "undeclared_thing"),
        ("dies", "did not start"),
        ("computes wrongly", "Hello from a broken kernel."),
    ],
)
def test_a_bad_build_is_never_active(upstream, root, build, behaviour, said):
    upstream.commit()
    good = build(source=upstream.source())["build_id"]
    upstream.commit(behaviour)
    result = build(source=upstream.source())
    assert result["failed"]
    assert said in result["msg"]
    assert active(root) == good
    assert names(root / "builds") == [good]
    assert not build(source=upstream.source(), active=good)["changed"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
@pytest.mark.parametrize(
    ("behaviour", "said"), [("full", "No space left on device"), ("fat", "is full; what was active stays active")]
)
def test_a_disk_that_fills_up(upstream, root, build, behaviour, said):
    """While compiling, or while the finished programs are copied."""
    upstream.commit()
    with small_disk(root, "1600m"):
        good = build(source=upstream.source())["build_id"]
        upstream.commit(behaviour)
        result = build(source=upstream.source())
        assert result["failed"]
        assert said in result["msg"]
        assert active(root) == good
        assert names(root / "builds") == [good]
        upstream.commit("good")
        if behaviour == "full":  # too little is left: said before anything starts
            assert "of free disk space" in build(source=upstream.source())["msg"]
            shutil.rmtree(root / "work" / "build")
        assert build(source=upstream.source())["changed"]


def test_killed_while_compiling_the_next_run_goes_on(upstream, root, build, tmp_path):
    upstream.commit()
    good = build(source=upstream.source())["build_id"]
    flag = tmp_path / "flag"
    upstream.commit(f"slow {flag}")
    run = threading.Thread(target=lambda: build(source=upstream.source()))
    run.start()
    wait_for(Path(f"{flag}.started").exists)
    os.kill(json.loads((root / ".lock").read_text())["pid"], signal.SIGKILL)
    run.join()
    assert active(root) == good
    refused = build(source=upstream.source(), lock_timeout=0)
    assert "a compiler or another child of it still runs" in refused["msg"]
    flag.touch()
    result = build(source=upstream.source(), lock_timeout=30)
    assert result["changed"], result
    assert active(root) == result["build_id"] != good
    assert names(root / "builds") == sorted([good, result["build_id"]])


def test_sigterm_ends_the_compilers_too(upstream, root, build, tmp_path):
    upstream.commit()
    good = build(source=upstream.source())["build_id"]
    flag = tmp_path / "flag"
    upstream.commit(f"slow {flag}")
    results = []
    run = threading.Thread(target=lambda: results.append(build(source=upstream.source())))
    run.start()
    wait_for(Path(f"{flag}.started").exists)
    os.kill(json.loads((root / ".lock").read_text())["pid"], signal.SIGTERM)
    run.join()
    assert results[0]["failed"] and "Ended by SIGTERM" in results[0]["msg"], results
    assert active(root) == good and names(root / "builds") == [good]
    left = [path for path in Path("/proc").glob("[0-9]*/cwd") if str(root) in _target(path)]
    assert not left, [path.with_name("cmdline").read_text() for path in left]
    flag.touch()
    assert build(source=upstream.source(), lock_timeout=0)["changed"], "nobody holds the lock"


def _target(link):
    try:
        return os.readlink(link)
    except OSError:
        return ""


def test_two_runs_at_once(upstream, root, build, tmp_path):
    flag = tmp_path / "flag"
    upstream.commit(f"slow {flag}")
    results: list[dict[str, Any]] = []
    first = threading.Thread(target=lambda: results.append(build(source=upstream.source())))
    first.start()
    wait_for(Path(f"{flag}.started").exists)
    refused = build(source=upstream.source(), lock_timeout=0)
    assert refused["failed"]
    assert "is locked by process" in refused["msg"]
    assert "llama_build" in refused["msg"]
    second = threading.Thread(target=lambda: results.append(build(source=upstream.source(), lock_timeout=60)))
    second.start()
    time.sleep(1)
    flag.touch()
    first.join()
    second.join()
    assert [result["failed"] for result in results] == [False, False]
    assert sorted(result["compiled"] for result in results) == [False, True]  # the second found it done
    assert names(root / "builds") == [results[0]["build_id"]]


def test_what_is_missing_is_named_at_once(root, play):
    task = {
        "name": "build",
        "llamaops.llama_cpp.llama_build": {"root": str(root), "scope": "user", "backend": "cpu"},
        "environment": {"PATH": "/nonexistent"},
    }
    plays = [{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]
    run = play(plays)
    assert run.rc != 0
    for word in ("git", "CMake", "Ninja", "a C++ compiler"):
        assert word in run.messages
    assert not root.exists()
    preview = play(plays, check=True)
    assert preview.rc == 0
    assert preview.changed == 1
    assert "CMake" in str(preview.result("build")["warnings"])
