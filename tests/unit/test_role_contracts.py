# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role documents (argument_specs) is what it has (defaults)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = sorted(path for path in (Path(__file__).resolve().parents[2] / "roles").iterdir() if path.is_dir())
SITE_VARIABLES = {
    "llama_address",
    "llama_env",
    "llama_gpus",
    "llama_instances",
    "llama_instances_defaults",
    "llama_keys",
    "llama_manager",
    "llama_models",
    "llama_root",
    "llama_rpc_workers",
    "llama_scope",
}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


@pytest.fixture(params=ROLES, ids=[role.name for role in ROLES])
def role(request: pytest.FixtureRequest) -> Path:
    return request.param


def options(role: Path) -> dict[str, Any]:
    return load(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]


def test_every_default_is_documented_and_every_option_has_one(role: Path) -> None:
    documented = {name for name, option in options(role).items() if not option.get("required")}
    assert set(load(role / "defaults" / "main.yml")) == documented - SITE_VARIABLES


def test_documented_defaults_are_the_real_ones(role: Path) -> None:
    documented = {name: option["default"] for name, option in options(role).items() if "default" in option}
    real = load(role / "defaults" / "main.yml")
    assert documented == {name: real.get(name) for name in documented}


def test_a_plain_default_is_documented_as_such(role: Path) -> None:
    plain = [name for name, value in load(role / "defaults" / "main.yml").items() if "{{" not in str(value)]
    assert [name for name in plain if "default" not in options(role)[name]] == []


def test_a_role_has_variables_of_its_own_name_only(role: Path) -> None:
    names = [name for name in load(role / "defaults" / "main.yml") if not name.startswith(role.name + "_")]
    assert names == []


def test_a_role_says_what_it_is(role: Path) -> None:
    assert (role / "README.md").is_file()
    assert load(role / "meta" / "main.yml")["galaxy_info"]["license"] == "GPL-3.0-or-later"
