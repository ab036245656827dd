# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: modules and playbooks by the real Ansible, and a runtime root with a really built llama.cpp."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_runs import LOCAL, REPOSITORY, Run, ansible, make_root, must, run_module

Module = Callable[..., dict[str, Any]]
Play = Callable[..., Run]


@pytest.fixture
def ansible_module(tmp_path: Path) -> Module:
    """`ansible_module(name, args, check=False, diff=False, variables=None, env=None)`, the result as a dict."""

    def call(name: str, args: dict[str, Any], **more: Any) -> dict[str, Any]:
        return run_module(tmp_path / "ansible-run", name, args, **more)

    return call


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """`play(path or list of plays, variables=None, check=False, diff=False, inventory=None, env=None)`, a `Run`.

    The inventory is a path, or this machine alone.
    """

    def call(
        playbook: str | os.PathLike[str] | list[dict[str, Any]],
        variables: dict[str, Any] | None = None,
        check: bool = False,
        diff: bool = False,
        inventory: str | os.PathLike[str] | None = None,
        env: dict[str, str] | None = None,
    ) -> Run:
        folder = tmp_path / "ansible-run"
        folder.mkdir(exist_ok=True)
        if isinstance(playbook, list):
            written = folder / "playbook.yml"
            written.write_text(json.dumps(playbook))
            playbook = written
        hosts = ["-i", "localhost,"] if inventory is None else ["-i", os.fspath(inventory)]
        known = LOCAL if inventory is None else {}
        argv = ["ansible-playbook", *hosts, os.fspath(playbook)]
        return ansible(folder, argv, {**known, **(variables or {})}, check, diff, env or {})

    return call


@pytest.fixture(scope="session")
def built_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runtime root (user scope) with llama.cpp, built once and kept between runs. Read only for tests.

    `$LLAMAOPS_TEST_ROOT` says where, else it is below the user's cache folder.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    root = Path(os.environ.get("LLAMAOPS_TEST_ROOT") or os.path.join(cache, "llamaops-test", "root"))
    argv = ["ansible-playbook", "-i", "localhost,", str(REPOSITORY / "tests" / "built.yml")]
    root.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{root}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of the workers of pytest one builds, and the others wait
        done = ansible(tmp_path_factory.mktemp("build"), argv, {**LOCAL, "root": str(root)}, False, False, {})
    if done.rc:
        pytest.fail(f"There is no build to test with: {done.messages or done.output}")
    return root


@pytest.fixture
def fresh_root(built_root: Path, tmp_path: Path) -> Path:
    """A root of the test's own with the same build, active; only links, so it is there at once."""
    return make_root(tmp_path, built_root)


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


@pytest.fixture(scope="session")
def instance_root(built_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with supervisord and a tiny model, for all tests: `site` leaves no instance in it."""
    folder = tmp_path_factory.mktemp("site")
    lines = (REPOSITORY / "roles/llama_runtime/files/requirements-supervisor.txt").read_text().splitlines()
    root = make_root(folder, built_root, packages=[line for line in lines if not line.startswith("#")])
    models = [{"name": "tiny", "source": "builtin:tiny"}]
    must(run_module(folder / "run", "gguf_model", {"root": str(root), "scope": "user", "models": models}))
    return root


@pytest.fixture
def site(instance_root, ansible_module):
    """`site(instances, **arguments)` on a root with a tiny model; all instances are removed at the end."""
    common = {"root": str(instance_root), "scope": "user", "manager": "supervisor"}

    def call(*instances, check=False, diff=False, **arguments):
        given = {**common, "instances": list(instances), **arguments}
        return ansible_module("llama_instance", given, check=check, diff=diff)

    call.root = instance_root
    yield call
    call(purge=True)
