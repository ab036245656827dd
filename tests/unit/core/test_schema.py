# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What older versions of the collection left is read, and what newer ones left is refused and never wiped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import schema
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import builds
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import change, definition, written
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.supervisor import Supervisor
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model import modelset
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree, ensure

BUILD = "0.5.2-abcdef1-cpu-00000001"
LOCK = {"name": "m", "source": "builtin:tiny", "revision": None, "files": []}
CHAIN = {
    0: schema.unnumbered,
    1: lambda old: {**old, "sizes": [old["size"]]},
    2: lambda old: {key: value for key, value in old.items() if key != "size"},
}


@pytest.fixture
def tree(tmp_path):
    tree = Tree(str(tmp_path / "root"), "user")
    ensure(tree)
    return tree


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_an_older_document_takes_every_step_to_today(number):
    document = {"schema": number, "size": 7, **({"sizes": [7]} if number > 1 else {})}
    made = schema.read({**document} if number else {"size": 7}, 3, "x", CHAIN)
    assert made == {"schema": 3, "sizes": [7], **({"size": 7} if number == 3 else {})}
    assert document["size"] == 7  # what was read is not changed


@pytest.mark.parametrize("document", [None, [], "x", {"schema": "1"}, {"schema": -1}, {"schema": 1}])
def test_what_nobody_can_read_is_none(document):
    assert schema.read(document, 3, "x", {0: schema.unnumbered}) is None


def test_a_newer_document_is_refused_with_the_way_out():
    with pytest.raises(InvalidInput, match="manifest.json has schema 2.* knows 1.*Update the collection"):
        schema.read({"schema": 2}, 1, "manifest.json")


def put(path, document):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(document))
    return Path(path)


def recorded(tree, number):
    fields = dict.fromkeys(modelset.ModelSet.__dataclass_fields__)
    return put(f"{tree.sets}/m.json", {**fields, **LOCK, **({"schema": number} if number else {})})


def test_model_locks(tree):
    recorded(tree, 0)
    assert modelset.load(tree, "m").source == "builtin:tiny"
    path = recorded(tree, 2)
    for look in (lambda: modelset.load(tree, "m"), lambda: modelset.load_all(tree)):
        with pytest.raises(InvalidInput, match="schema 2"):
            look()
    assert json.loads(path.read_text())["schema"] == 2


def test_manifests(tree):
    path = f"{tree.build(BUILD)}/manifest.json"
    put(path, {"files": {}})
    assert [build.id for build in builds.list_builds(tree)] == [BUILD]
    put(path, {"schema": 2, "files": {}})
    with pytest.raises(InvalidInput, match="schema 2"):
        builds.find(tree, BUILD)
    assert Path(path).exists()


UNIT = "[Service]\nExecStart=/x\n[X-LlamaOps]\nInstance=chat\nSchema={}\nPlan={}\n"


@pytest.mark.parametrize(
    ("unit", "instance"),
    [
        (UNIT.format(2, "{}"), {"schema": 1}),
        (UNIT.format(1, '{"schema":2}'), {"schema": 1}),
        (UNIT.format(1, '{"schema":1}'), {"schema": 2}),
    ],
)
@pytest.mark.parametrize("state", ["started", "absent"])
def test_units_plans_and_records_of_a_newer_version_are_left_alone(tree, unit, instance, state):
    manager = Supervisor(tree)
    path = Path(manager.path("chat"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(unit)
    put(f"{tree.instances}/chat/instance.json", instance)
    item = definition.read({"name": "chat", "model": "tiny", "port": 8080, "state": state})
    with pytest.raises(InvalidInput, match="has schema 2"):
        change.plan(tree, manager, [item], {})
    assert path.read_text() == unit


@pytest.mark.parametrize("unit", [UNIT.format(1, "{}"), UNIT.format("", "nonsense"), "[X-LlamaOps]\nInstance=chat\n"])
def test_units_of_an_older_version_are_ours(tree, unit):
    written.check(tree, "chat", "/unit", unit)
