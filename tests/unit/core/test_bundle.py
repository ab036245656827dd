# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles: what is written, and that nothing of one is believed that its checksum does not cover."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import bundle
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import tinymodel
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.bundle import Wanted
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import (
    InvalidInput,
    Prerequisite,
    Unreachable,
    Untrusted,
)
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model import fetch, modelref, promise
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.hub import Hub
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.modelsource import Options
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree, ensure

TINY = tinymodel.content()
SOURCE = "owner/model-GGUF:Q8_0"
NAME = "models/owner/model-GGUF/m-Q8_0.gguf"
REQUEST = modelref.request({"name": "m", "source": SOURCE})


def made(path) -> Tree:
    found = Tree(str(path), "user")
    ensure(found)
    return found


@pytest.fixture
def tree(tmp_path, hub):
    hub.push("owner/model-GGUF", {"m-Q8_0.gguf": TINY})
    found = made(tmp_path / "root")
    fetch.bring(found, REQUEST, Options(Hub.open(hub.endpoint, None)))
    return found


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "bundle")


def test_a_bundle_brings_its_models_to_a_host_without_a_hub(tree, folder, tmp_path):
    artifact = tmp_path / "build.tar.gz"
    artifact.write_bytes(b"packed")
    wanted = Wanted(("m",), artifacts=(str(artifact),))
    digest = bundle.write(tree, folder, wanted)
    assert sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()) == [
        "artifacts/build.tar.gz",
        "bundle.json",
        NAME,
    ]
    assert str(tmp_path) not in Path(folder, "bundle.json").read_text()
    found = bundle.read(folder, f"sha256:{digest}")
    assert found.files(bundle.ARTIFACTS) == ["artifacts/build.tar.gz"]
    found.take("artifacts/build.tar.gz", str(tmp_path / "taken"))
    assert (tmp_path / "taken").read_bytes() == b"packed"
    options = Options(Hub(), offline=True, resolved=promise.read(found.models), mirror=found.mirror)
    assert Path(fetch.bring(made(tmp_path / "sealed"), REQUEST, options).after.path).read_bytes() == TINY


def test_a_second_run_writes_nothing_and_a_smaller_bundle_removes(tree, folder, tmp_path):
    artifact = tmp_path / "build.tar.gz"
    artifact.write_bytes(b"packed")
    first = bundle.write(tree, folder, Wanted(("m",), artifacts=(str(artifact),)))
    times = {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*")}
    assert bundle.write(tree, folder, Wanted(("m",), artifacts=(str(artifact),))) == first
    assert {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*")} == times
    assert bundle.write(tree, folder, Wanted(("m",))) != first
    assert not os.path.exists(f"{folder}/artifacts/build.tar.gz")


def test_an_interrupted_or_damaged_copy_is_mended(tree, folder):
    digest = bundle.write(tree, folder, Wanted(("m",)))
    path = Path(folder, NAME)
    path.write_bytes(TINY[:-1] + b"?")
    Path(f"{path}.part").write_bytes(TINY[:1000])
    assert bundle.write(tree, folder, Wanted(("m",))) == digest
    assert path.read_bytes() == TINY and not os.path.exists(f"{path}.part")


def test_another_description_is_refused(tree, folder):
    digest = bundle.write(tree, folder, Wanted(("m",)))
    path = Path(folder, "bundle.json")
    path.write_text(path.read_text().replace("m-Q8_0", "n-Q8_0"))
    with pytest.raises(Untrusted, match="was asked for"):
        bundle.read(folder, digest)
    for wrong in ("", None, "abc"):
        with pytest.raises(InvalidInput, match="checksum is known"):
            bundle.read(folder, wrong)
    with pytest.raises(Prerequisite, match="no bundle"):
        bundle.read(f"{folder}/none", digest)


@pytest.mark.parametrize(
    "said",
    [
        b"{",
        b"[]",
        b'{"schema": 2, "models": {}, "files": {}}',
        json.dumps({"schema": 1, "models": {}, "files": {"../x": {"size": 1, "sha256": "0" * 64}}}).encode(),
        json.dumps({"schema": 1, "models": {}, "files": {"wheels/x": {"size": 1, "sha256": 7}}}).encode(),
    ],
)
def test_a_description_that_makes_no_sense(folder, said):
    os.makedirs(folder)
    Path(folder, "bundle.json").write_bytes(said)
    with pytest.raises(Untrusted, match="understands"):
        bundle.read(folder, hashlib.sha256(said).hexdigest())


def test_damaged_files_of_a_bundle_are_not_used(tree, folder, tmp_path):
    digest = bundle.write(tree, folder, Wanted(("m",)))
    Path(folder, NAME).write_bytes(TINY[:-1] + b"?")
    found = bundle.read(folder, digest)
    with pytest.raises(Untrusted, match="Copy the bundle again"):
        found.take(NAME, str(tmp_path / "taken"))
    assert not (tmp_path / "taken").exists()
    with pytest.raises(Unreachable):
        options = Options(Hub(), offline=True, resolved=promise.read(found.models), mirror=found.mirror)
        fetch.bring(made(tmp_path / "sealed"), REQUEST, options)
    with pytest.raises(Prerequisite, match="no Python packages"):
        bundle.stage_wheels(found, str(tmp_path / "wheels"))


def test_what_cannot_be_bundled(tree, folder, tmp_path):
    path = tmp_path / "mine.gguf"
    path.write_bytes(TINY)
    fetch.bring(tree, modelref.request({"name": "mine", "source": str(path)}), Options(Hub()))
    for wanted, error in ((Wanted(("none",)), Prerequisite), (Wanted(("mine",)), InvalidInput)):
        with pytest.raises(error):
            bundle.write(tree, folder, wanted)
    with pytest.raises(InvalidInput, match="There is no file"):
        bundle.write(tree, folder, Wanted(artifacts=("/nowhere/x",)))
    assert not os.path.exists(folder)


def test_a_packed_build_is_found_by_its_name_its_bytes_or_as_the_only_one(tree, folder, tmp_path):
    one, other = (tmp_path / f"0.5.0-{name}-cpu-0a1b2c3d.tar.gz" for name in ("a832db0", "1f2e3d4"))
    one.write_bytes(b"one")
    other.write_bytes(b"other")
    alone = bundle.read(folder, bundle.write(tree, folder, Wanted(artifacts=(str(one),))))
    hashed = hashlib.sha256(b"one").hexdigest()
    assert alone.artifact() == (f"{folder}/artifacts/{one.name}", hashed)
    both = bundle.read(folder, bundle.write(tree, folder, Wanted(artifacts=(str(one), str(other)))))
    assert both.artifact("0.5.0-a832db0-cpu-0a1b2c3d") == both.artifact(checksum=hashed) == alone.artifact()
    for asked in ({}, {"build": "0.5.0-0000000-cpu-0a1b2c3d"}, {"checksum": "0" * 64}):
        with pytest.raises(Prerequisite, match=f"has artifacts/{other.name}, artifacts/{one.name}"):
            both.artifact(**asked)
    none = bundle.read(folder, bundle.write(tree, folder, Wanted()))
    with pytest.raises(Prerequisite, match="has no artifact"):
        none.artifact()
