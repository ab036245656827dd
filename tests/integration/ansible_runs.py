# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the real ansible and ansible-playbook, and reading what they did."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
COLLECTIONS = REPOSITORY / ".build" / "collections"
TOOLS = Path(sys.executable).parent
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}


@dataclass(frozen=True)
class Run:
    """A finished run: exit status, all output, one entry a task result, statistics by host."""

    rc: int
    output: str
    tasks: list[dict[str, Any]]
    stats: dict[str, dict[str, int]]

    @property
    def changed(self) -> int:
        return sum(numbers["changed"] for numbers in self.stats.values())

    @property
    def changed_tasks(self) -> list[str]:
        return [entry["task"] for entry in self.tasks if entry["result"].get("changed")]

    @property
    def messages(self) -> str:
        """What failed tasks said."""
        return "\n".join(str(entry["result"].get("msg")) for entry in self.tasks if entry["status"] == "failed")

    def result(self, task: str) -> dict[str, Any]:
        """The result of the last task whose name contains this text."""
        return next(entry["result"] for entry in reversed(self.tasks) if task in entry["task"])


def ansible(
    folder: Path, argv: list[str], variables: dict[str, Any], check: bool, diff: bool, env: dict[str, str]
) -> Run:
    """Run `argv[0]` of the test environment in `folder`, which takes the files a run leaves behind."""
    folder.mkdir(parents=True, exist_ok=True)
    record, given = folder / "record.jsonl", folder / "variables.json"
    record.write_text("")
    given.write_text(json.dumps(variables))
    switches = ["--extra-vars", f"@{given}", *(["--check"] if check else []), *(["--diff"] if diff else [])]
    done = subprocess.run(
        [str(TOOLS / argv[0]), *argv[1:], *switches],
        env={**os.environ, **_environment(folder, record), **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    entries = [json.loads(line) for line in record.read_text().splitlines()]
    stats = next((entry["hosts"] for entry in entries if entry["status"] == "stats"), {})
    return Run(done.returncode, done.stdout, [entry for entry in entries if "task" in entry], stats)


def run_module(
    folder: Path,
    name: str,
    args: dict[str, Any],
    check: bool = False,
    diff: bool = False,
    variables: dict[str, Any] | None = None,
    env: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Run a module of the collection on this machine; returns its result, with `failed` always there."""
    argv = ["ansible", "localhost", "-m", f"llamaops.llama_cpp.{name}", *(["-a", json.dumps(args)] if args else [])]
    done = ansible(folder, argv, {**LOCAL, **(variables or {})}, check, diff, env or {})
    if not done.tasks:
        pytest.fail(f"{name} left no result:\n{done.output}")
    return {**done.tasks[-1]["result"], "failed": done.tasks[-1]["status"] != "ok"}


def must(result: dict[str, Any]) -> dict[str, Any]:
    """The result of a module that had to succeed."""
    if result["failed"]:
        pytest.fail(result["msg"])
    return result


def make_root(folder: Path, built_root: Path, **runtime: Any) -> Path:
    """A new root in this folder with the build of another one; `runtime` are arguments of llama_runtime."""
    common = {"root": str(folder / "root"), "scope": "user"}
    must(run_module(folder / "run", "llama_runtime", {**common, **runtime}))
    build = (built_root / "current").resolve()
    copy_tree(build, folder / "root" / "builds" / build.name)
    must(run_module(folder / "run", "llama_build", {**common, "active": build.name}))
    return folder / "root"


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder as hard links; as files where the target is on another file system."""
    if subprocess.run(["cp", "-al", source, target], stderr=subprocess.DEVNULL, check=False).returncode:
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run(["cp", "-a", source, target], check=True)


def _environment(folder: Path, record: Path) -> dict[str, str]:
    return {
        "ANSIBLE_CALLBACKS_ENABLED": "record",
        "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callback"),
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        "LLAMAOPS_TEST_RECORD": str(record),
        "PATH": f"{TOOLS}:{os.environ['PATH']}",
    }
