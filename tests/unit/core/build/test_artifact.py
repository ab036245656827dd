# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Artifacts: packed the same every time, and nothing taken out of one that its manifest does not say."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import tarfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import artifact, builds, recipe
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build.source import Source
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput, Unreachable, Untrusted
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.files import sha256_of, write_json
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree

RECIPE = {"commit": "a832db0" + "0" * 33, "backend": "cpu", "target": "x86_64-debian-12-glibc-2.36"}
ID = recipe.build_id("1.2.3", RECIPE)
FILES = {"bin/llama-server": b"#!/bin/true\n", "bin/llama-bench": b"bench", "capabilities.json": b"{}"}


@pytest.fixture
def tree(tmp_path):
    return Tree(str(tmp_path / "root"), "user")


@pytest.fixture
def build(tree):
    for name, data in FILES.items():
        path = os.path.join(tree.build(ID), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, 0o755 if name.startswith("bin/") else 0o644)
    facts = {
        name: {"sha256": sha256_of(os.path.join(tree.build(ID), name)), "size": len(FILES[name])} for name in FILES
    }
    manifest = {"schema": 1, "id": ID, "version": "1.2.3", "recipe": RECIPE, "files": facts}
    write_json(os.path.join(tree.build(ID), "manifest.json"), manifest)
    return builds.find(tree, ID)


def opened(path):
    return open(path, "rb")


def test_there_and_back(tree, build, tmp_path):
    packed = artifact.pack(tree, build)
    assert packed.path == tree.path("artifacts", f"{ID}.tar.gz")
    assert (packed.sha256, packed.size) == (sha256_of(packed.path), os.stat(packed.path).st_size)
    with opened(packed.path) as file:
        folder, manifest = artifact.extract(file, str(tmp_path / "out"))
    assert manifest == build.manifest
    for name, data in FILES.items():
        path = os.path.join(folder, name)
        assert opened(path).read() == data
        assert os.access(path, os.X_OK) == name.startswith("bin/")


def test_the_same_build_gives_the_same_bytes(tree, build):
    first = artifact.pack(tree, build)
    past = time.time() - 10**8
    os.utime(os.path.join(build.folder, "bin/llama-server"), (past, past))
    write_json(os.path.join(build.folder, "received.json"), {"sha256": "0"})  # is no part of it
    again = artifact.pack(tree, builds.find(tree, ID))
    assert again == first
    assert os.listdir(tree.path("artifacts")) == [f"{ID}.tar.gz"]


def test_a_damaged_build_is_not_packed(tree, build):
    with open(os.path.join(build.folder, "bin/llama-bench"), "ab") as file:
        file.write(b"!")
    with pytest.raises(Untrusted, match="llama-bench"):
        artifact.pack(tree, build)


def repacked(source, change):
    """An artifact whose members went through `change(name, data)`; None leaves one out."""
    target = io.BytesIO()
    with tarfile.open(source) as old, tarfile.open(fileobj=target, mode="w:gz") as new:
        for member in old:
            found = change(member.name, old.extractfile(member).read())
            for name, data in [found] if isinstance(found, tuple) else found or []:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                new.addfile(info, io.BytesIO(data))
    target.seek(0)
    return target


def manifest_with(**facts):
    def change(name, data):
        return (name, json.dumps({**json.loads(data), **facts}).encode() if name.endswith("manifest.json") else data)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda name, data: (name, data + b"!" if name.endswith("llama-server") else data), "not what its manifest"),
        (lambda name, data: None if name.endswith("llama-bench") else (name, data), "different files: bin/llama-bench"),
        (lambda name, data: [(name, data), *([(f"{ID}/bin/x", b"x")] if "manifest" in name else [])], "files: bin/x"),
        (lambda name, data: [(name, data), *([("other/x", b"x")] if "manifest" in name else [])], "one build"),
        (lambda name, data: None if "manifest" in name else (name, data), "one build"),
        (lambda name, data: (name.replace(ID, "9.9.9-a832db0-cpu-00000000"), data), "one build"),
        (manifest_with(version="9.9.9"), "one build"),
        (manifest_with(recipe={**RECIPE, "backend": "cuda"}), "one build"),
        (manifest_with(recipe=None), "one build"),
        (manifest_with(schema=2), "one build"),
        (lambda name, data: ("../" + name, data), "may not be unpacked"),
    ],
)
def test_what_is_no_artifact_is_refused(tree, build, tmp_path, change, said):
    path = artifact.pack(tree, build).path
    with pytest.raises(Untrusted, match=said):
        artifact.extract(repacked(path, change), str(tmp_path / "out"))


def test_a_cut_file_is_refused(tree, build, tmp_path):
    data = opened(artifact.pack(tree, build).path).read()
    for length in (0, 10, len(data) // 2):
        with pytest.raises(Untrusted):
            artifact.extract(io.BytesIO(data[:length]), str(tmp_path / "out"))
        assert not (tmp_path / "out").exists()


def test_fetching_checks_the_bytes(tree, build, tmp_path):
    packed = artifact.pack(tree, build)
    source = Source("artifact", path=packed.path, checksum=packed.sha256)
    with artifact.fetch(source, str(tmp_path)) as file:
        assert file.read() == opened(packed.path).read()
    with pytest.raises(Untrusted, match=f"{packed.sha256}; {'0' * 64} was asked for"):
        artifact.fetch(dataclasses.replace(source, checksum="0" * 64), str(tmp_path))
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        artifact.fetch(dataclasses.replace(source, path="/nonexistent"), str(tmp_path))


def test_fetching_from_a_mirror(tree, build, tmp_path):
    packed = artifact.pack(tree, build)
    handler = partial(SimpleHTTPRequestHandler, directory=os.path.dirname(packed.path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{ID}.tar.gz"
        with artifact.fetch(Source("artifact", url=url, checksum=packed.sha256), str(tmp_path)) as file:
            assert file.read() == opened(packed.path).read()
        with pytest.raises(Untrusted, match="was asked for"):
            artifact.fetch(Source("artifact", url=url, checksum="0" * 64), str(tmp_path))
        with pytest.raises(Unreachable, match="404"):
            artifact.fetch(Source("artifact", url=url + ".no", checksum=packed.sha256), str(tmp_path))
        server.shutdown()


def test_what_is_there_is_found_by_id_or_by_what_brought_it(tree, build):
    source = Source("artifact", checksum="1" * 64)
    assert artifact.find([build], source) is None
    assert artifact.find([build], dataclasses.replace(source, build=ID)) is build
    artifact.note(build.folder, source, 5, {"answer": "yes"})
    assert artifact.find([build], source) is build
    os.truncate(os.path.join(build.folder, "bin/llama-bench"), 1)
    assert artifact.find([build], source) is None
