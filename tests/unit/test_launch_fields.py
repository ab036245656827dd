# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One list of fields, everywhere: the core, the module, the role, and the pages that describe an entry."""

from __future__ import annotations

import importlib
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.adapter import llama_instance as adapter
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import capabilities
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import definition, options, spec
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import transformers as service
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.worker import definition as worker

REPOSITORY = Path(__file__).resolve().parents[2]
HELP = (REPOSITORY / "tests/fixtures/recorded/llama-server-help.txt").read_text(encoding="utf-8")
OPTIONS = capabilities.parse_help(HELP)
DOCUMENT = {"schema": 1, "version": "0.5.0-dev", "options": [asdict(option) for option in OPTIONS]}
UPSTREAM = capabilities.Capabilities(DOCUMENT)
# what a role says otherwise or for itself: the path of the root, no wait for another run, `prune` for the older `purge`
ROLE = {"instances": "llama_instances_models", "made_keys": "llama_instances_keys"}
NOT_OF_A_ROLE = {"purge", "lock_timeout"}
# the launch fields of llama-cpp-autodeploy 0e5d5ad: of its launcher, its web API, its rerankers and its workers
THERE = (REPOSITORY / "tests/fixtures/recorded/autodeploy-fields.txt").read_text(encoding="utf-8").split()


def page(name: str) -> str:
    return (REPOSITORY / "docs" / name).read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """The rows of the tables of a page, without their heads."""
    found = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| there")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found]


def code(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_the_module_takes_every_field_and_documents_it() -> None:
    taken = adapter.ARGUMENTS["instances"]["options"]
    module = importlib.import_module("ansible_collections.llamaops.llama_cpp.plugins.modules.llama_instance")
    documented = yaml.safe_load(module.DOCUMENTATION)["options"]["instances"]["suboptions"]
    assert set(taken) == set(documented) == set(definition.FIELDS)
    for name, option in documented.items():
        assert option.get("choices") == taken[name].get("choices"), name
        assert option["type"] == taken[name].get("type", "str"), name
    assert set(documented["kind"]["choices"]) == set(definition.KINDS)


def test_the_role_hands_over_every_argument_of_the_module() -> None:
    specs = yaml.safe_load((REPOSITORY / "roles/llama_instances/meta/argument_specs.yml").read_text(encoding="utf-8"))
    known = specs["argument_specs"]["main"]["options"]
    tasks = yaml.safe_load((REPOSITORY / "roles/llama_instances/tasks/main.yml").read_text(encoding="utf-8"))
    handed = next(task["llamaops.llama_cpp.llama_instance"] for task in tasks if "llama_instance" in str(list(task)[1]))
    wanted = set(adapter.ARGUMENTS) - NOT_OF_A_ROLE
    assert set(handed) == wanted
    assert {name for name in wanted if ROLE.get(name, f"llama_instances_{name}") not in known} == set()


def test_the_page_of_an_entry_has_every_field() -> None:
    fields = [word for row in rows(page("instances.md")) for word in code(row[0])]
    assert set(definition.FIELDS) - set(fields) - {"name", "state"} == set()
    kinds = next(row for row in rows(page("instances.md")) if row[0] == "`kind`")
    assert code(kinds[1]) == list(definition.KINDS)


def test_every_field_of_the_other_system_has_its_place() -> None:
    named = [word for row in rows(page("launch-fields.md")) for word in code(row[0])]
    assert set(THERE) - set(named) == set()


SITE = {"llama_models_stores", "llama_models_token_file", "llama_rpc_network", "llama_rpc_workers"}


@pytest.mark.parametrize("row", rows(page("launch-fields.md")), ids=lambda row: row[0])
def test_where_that_is_said_exists(row: list[str]) -> None:
    words = code(row[1])
    if row[1] in ("not there", "refused", "`instruction` of a request"):
        return
    field, *of = words
    if of:
        assert of == ["llama_rpc_workers"] and field in worker.GIVEN
    elif field.startswith("options."):
        flag = field.partition(".")[2]
        assert flag in service.OPTIONS or UPSTREAM.find(flag)
    elif field.startswith("spec."):
        assert field.partition(".")[2] in {"type", "draft", *spec.TUNING}
    else:
        assert field in SITE | set(definition.FIELDS)


def test_site_variables_of_that_page_are_those_of_roles() -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path in REPOSITORY.glob("roles/*/meta/argument_specs.yml"))
    assert [name for name in SITE if name not in texts] == []


def kinds_of_upstream() -> list[str]:
    found = UPSTREAM.find("--spec-type")
    assert found is not None and found[0].values is not None
    return [kind for kind in found[0].values if kind != "none"]


def entry(**given: Any) -> definition.Instance:
    return definition.read({"name": "chat", "model": "tiny", "port": 8080, **given})


@pytest.mark.parametrize("kind", kinds_of_upstream())
def test_every_kind_of_speculation_that_upstream_names_is_taken_under_that_name(kind: str) -> None:
    draft = {} if kind in spec.NGRAM else {"draft": "own" if kind == spec.MTP else "small"}
    wanted = entry(spec={"type": kind, **draft}).spec
    assert wanted is not None
    argv = options.arguments(UPSTREAM, wanted.flags("/m/small.gguf" if draft.get("draft") == "small" else None), "b1")
    assert argv[:2] == ["--spec-type", kind]
    assert kind in page("instances.md")


def test_no_kind_is_taken_that_upstream_does_not_have() -> None:
    assert set(spec.KINDS) == set(kinds_of_upstream())


def test_a_build_that_lacks_a_kind_refuses_it_with_those_it_has() -> None:
    older = HELP.replace("draft-eagle3,", "").replace(",draft-dspark", "")
    known = capabilities.Capabilities(
        {**DOCUMENT, "options": [asdict(item) for item in capabilities.parse_help(older)]}
    )
    wanted = entry(spec={"type": "draft-eagle3", "draft": "small"}).spec
    assert wanted is not None
    with pytest.raises(InvalidInput, match="draft-eagle3.*draft-mtp"):
        options.arguments(known, wanted.flags("/m/small.gguf"), "b1")
