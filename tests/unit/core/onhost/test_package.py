# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command llama-host is packed the same everywhere, and starts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import runtime
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.onhost import package
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree, open_tree

REPOSITORY = Path(__file__).resolve().parents[4]
CORE = REPOSITORY / "plugins/module_utils/core"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    found = open_tree(str(tmp_path_factory.mktemp("host") / "root"), "user")
    runtime.prepare(found, None, check=False, manager="supervisor")
    return found


def run(tree: Tree, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    env = {"PATH": f"{os.path.dirname(sys.executable)}:/usr/bin:/bin", "PYTHONPATH": "/nowhere"}
    command = [os.path.join(tree.bin, "llama-host"), *words]
    return subprocess.run(command, env=env, input=given, cwd="/", capture_output=True, check=False, timeout=60)


def test_every_file_of_the_core_is_in_it(tree: Tree) -> None:
    here = {f"{package.PACKAGE}/{path.relative_to(CORE)}" for path in CORE.rglob("*.py")}
    assert set(package.sources(tree, "auto")) == {*here, "__main__.py"}


def test_equal_sources_are_equal_bytes(tree: Tree) -> None:
    first = package.pack(package.sources(tree, "auto"))
    code = "import sys; sys.path[:0] = sys.argv[3:]; " + "; ".join(
        (
            "from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.onhost import package as p",
            "from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree",
            "sys.stdout.buffer.write(p.pack(p.sources(Tree(*sys.argv[1:3]), 'auto')))",
        )
    )
    argv = [sys.executable, "-B", "-c", code, tree.root, tree.scope, *sys.path]
    second = subprocess.run(argv, env={"PYTHONHASHSEED": "7"}, cwd="/tmp", capture_output=True, check=True)
    assert first == second.stdout


def headers(data: bytes) -> list[int]:
    """Where the header of each file in the archive lies."""
    return [found.start() for found in re.finditer(rb"PK\x03\x04", data)]


def test_damage_is_seen_wherever_it_lies(tree: Tree) -> None:
    whole = Path(package.path(tree)).read_bytes()
    said = package.found_digest(tree)
    assert said == package.digest(package.sources(tree, "supervisor"))
    half = headers(whole)[len(headers(whole)) // 2]
    places = [0, *(half + byte for byte in range(34)), len(whole) // 2, *range(len(whole) - 200, len(whole), 10)]
    try:
        for place in places:
            for damage in (b"\xf0", b"\x00"):
                Path(package.path(tree)).write_bytes(whole[:place] + damage * 3 + whole[place + 3 :])
                assert package.found_digest(tree) is None or whole[place : place + 3] == damage * 3, place
        for length in (0, 10, 64, 128, len(whole) - 1):
            Path(package.path(tree)).write_bytes(whole[:length])
            assert package.found_digest(tree) is None, length
    finally:
        Path(package.path(tree)).write_bytes(whole)
    assert package.found_digest(tree) == said


def test_a_second_run_changes_nothing_and_damage_is_mended(tree: Tree) -> None:
    assert runtime.prepare(tree, None, check=False, manager="supervisor") == []
    with open(package.path(tree), "r+b") as file:
        file.seek(headers(file.read())[7] + 6)
        file.write(b"\xff" * 64)
    os.unlink(package.link(tree))
    seen = runtime.prepare(tree, None, check=True, manager="supervisor")
    assert [change.path for change in seen] == [package.path(tree), package.link(tree)]
    assert runtime.prepare(tree, None, check=False, manager="supervisor") == seen
    assert runtime.prepare(tree, None, check=False, manager="supervisor") == []


def test_people_and_programs_read_it(tree: Tree) -> None:
    people, programs = run(tree, "status"), run(tree, "status", "--json")
    assert (people.returncode, people.stderr) == (0, b""), people.stderr
    assert b"No instance is managed here." in people.stdout
    said = json.loads(programs.stdout)
    assert (said["instances"], said["manager"], said["cordon"]) == ({}, "supervisor", None)


def test_what_does_not_exist_is_named_without_a_traceback(tree: Tree) -> None:
    done = run(tree, "logs", "nobody")
    assert done.returncode == 2 and b"nobody" in done.stderr and b"Traceback" not in done.stderr


def test_the_stream_speaks_answers_and_ends_with_its_input(tree: Tree) -> None:
    asked = [
        {"id": 1, "do": "interval", "with": {"seconds": 1}},
        {"id": 2, "do": "rm", "with": {}},
        {"id": 3, "do": "interval", "with": {"seconds": "x"}},
    ]
    given = b"".join(json.dumps(line).encode() + b"\n" for line in asked) + b"[1]\n" + b"x" * (3 << 20) + b"\n"
    said = [json.loads(line) for line in run(tree, "watch", given=given).stdout.splitlines()]
    assert said[0]["kind"] == "hello" and said[0]["schema"] == 1 and said[0]["root"] == tree.root
    answers = {line.get("id"): line for line in said if "id" in line}
    assert answers[1]["answer"] == {"seconds": 1.0}
    assert "rm" in answers[2]["error"]["message"] and "seconds" in answers[3]["error"]["message"]
    assert len([line for line in said if "id" in line and line["id"] is None]) == 2


def test_the_library_lists_every_folder_of_the_core() -> None:
    listed = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(CORE) for path in CORE.rglob("*.py")}
    assert sorted(listed) == sorted(".".join(["llamaops_core", *folder.parts]) for folder in folders)
