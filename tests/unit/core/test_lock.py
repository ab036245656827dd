# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One writer per root, and looks that another run may disturb."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import lock
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import Busy, InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(str(tmp_path), "user")


@contextmanager
def another_run(tree: Tree) -> Iterator[threading.Event]:
    """Somebody else holds the lock until what this yields is set."""
    taken, over = threading.Event(), threading.Event()

    def work() -> None:
        with lock.hold(tree, "another", 0):
            taken.set()
            over.wait(20)

    thread = threading.Thread(target=work)
    thread.start()
    assert taken.wait(20)
    yield over
    over.set()
    thread.join()


def looks(*answers: object) -> Callable[[], object]:
    given = iter(answers)

    def look() -> object:
        found = next(given)
        if isinstance(found, Exception):
            raise found
        return found

    return look


def test_a_look_that_finds_something_waits_for_nobody(tree: Tree) -> None:
    with another_run(tree):
        assert lock.settled(tree, "test", 0, looks("found")) == "found"


@pytest.mark.parametrize("torn", [Busy("another process has the port"), FileNotFoundError("unit")])
def test_what_is_seen_in_the_middle_of_another_change_does_not_count(tree: Tree, torn: Exception) -> None:
    with another_run(tree) as over:
        threading.Timer(0.3, over.set).start()
        assert lock.settled(tree, "test", 20, looks(torn, "found")) == "found"


def test_what_is_wrong_stays_wrong(tree: Tree) -> None:
    wrong = InvalidInput("no such model")
    with pytest.raises(InvalidInput, match="no such model"):
        lock.settled(tree, "test", 0, looks(wrong, wrong))


def test_on_a_host_without_a_root_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        lock.settled(Tree(str(tmp_path / "root"), "user"), "test", 0, looks(InvalidInput("no")))
    assert list(tmp_path.iterdir()) == []


def test_who_waits_too_long_is_told_for_whom(tree: Tree) -> None:
    with another_run(tree), pytest.raises(Busy, match=r"is locked by process \d+ \(another, since "):
        lock.settled(tree, "test", 0, looks(Busy("the port"), "found"))
