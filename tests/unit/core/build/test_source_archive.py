# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import io
import tarfile

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import source, source_archive
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput, Untrusted
from fixtures import local_index
from fixtures.local_index import JSON, PROJECT, json_page


@pytest.fixture
def packages(monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with local_index.serving() as index:
        yield index


def archive(*members: tuple[str, str]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as file:
        for name, text in members:
            info = tarfile.TarInfo(name)
            info.size = len(text)
            file.addfile(info, io.BytesIO(text.encode()))
    return data.getvalue()


CMAKE = 'cmake_minimum_required(VERSION 3.14)\nproject("llama.cpp" C CXX)\n'
SDIST = archive(
    ("llama_cpp_python-9.9/setup.py", "raise SystemExit('never run')"),
    ("llama_cpp_python-9.9/CMakeLists.txt", "project(llama_cpp)"),
    ("llama_cpp_python-9.9/vendor/llama.cpp/CMakeLists.txt", CMAKE),
)
SHA = hashlib.sha256(SDIST).hexdigest()
WANTED = source.Source("sdist", version="9.9", checksum=SHA)


def test_an_sdist_is_found_fetched_proven_and_only_llama_cpp_is_unpacked(packages, tmp_path):
    name = "llama_cpp_python-9.9.tar.gz"
    packages.put(f"/simple/{PROJECT}/", json_page(name), JSON)
    packages.put(f"/files/{name}", SDIST)
    cache = tmp_path / "cache" / "downloads"
    with source_archive.fetch(WANTED, SHA, [packages.url], str(cache)) as file:
        source_archive.unpack_into(file, True, str(tmp_path / "tree"))
    assert [path.name for path in (tmp_path / "tree").iterdir()] == ["CMakeLists.txt"]
    assert not (tmp_path / "tree.new").exists()
    source_archive.fetch(WANTED, SHA, ["http://127.0.0.1:9/"], str(cache)).close()  # from the cache


def test_other_bytes_are_not_kept(packages, tmp_path):
    packages.put("/a.tar.gz", SDIST + b"!")
    url = packages.url.replace("/simple", "/a.tar.gz")
    wanted = source.Source("archive", url=url, checksum=SHA)
    with pytest.raises(Untrusted, match=f"/a.tar.gz has the .* {SHA} was asked for"):
        source_archive.fetch(wanted, SHA, [], str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_spoilt_cache_is_noticed_and_cleared(packages, tmp_path):
    packages.put("/a.tar.gz", SDIST)
    wanted = source.Source("archive", url=packages.url.replace("/simple", "/a.tar.gz"), checksum=SHA)
    source_archive.fetch(wanted, SHA, [], str(tmp_path)).close()
    next(tmp_path.iterdir()).write_bytes(b"spoilt")
    with pytest.raises(Untrusted):
        source_archive.fetch(wanted, SHA, [], str(tmp_path))
    source_archive.fetch(wanted, SHA, [], str(tmp_path)).close()


def test_a_file_address(tmp_path):
    (tmp_path / "a b.tar.gz").write_bytes(SDIST)
    wanted = source.Source("archive", url=f"file://{tmp_path}/a%20b.tar.gz", checksum=SHA)
    source_archive.fetch(wanted, SHA, [], str(tmp_path / "cache")).close()
    gone = source.Source("archive", url=f"file://{tmp_path}/gone", checksum="0" * 64)
    with pytest.raises(InvalidInput, match="cannot be read"):
        source_archive.fetch(gone, "0" * 64, [], str(tmp_path / "cache"))


@pytest.mark.parametrize(
    "members",
    [
        [("CMakeLists.txt", CMAKE)],
        [("llama.cpp-b9999/CMakeLists.txt", CMAKE), ("llama.cpp-b9999/.git", "gitdir: ../../../elsewhere")],
        [("llama.cpp-b9999/CMakeLists.txt", CMAKE), ("llama.cpp-b9999/.git/config", "[core]")],
        [("x-1/vendor/llama.cpp/CMakeLists.txt", "PROJECT( llama.cpp )"), ("x-1/CMakeLists.txt", "project(other)")],
    ],
)
def test_the_tree_is_found_in_an_archive(tmp_path, members):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "old").write_text("x")
    source_archive.unpack_into(io.BytesIO(archive(*members)), False, str(tmp_path / "tree"))
    assert [path.name for path in (tmp_path / "tree").iterdir()] == ["CMakeLists.txt"]


def test_an_archive_of_something_else_leaves_the_old_tree(tmp_path):
    (tmp_path / "tree").mkdir()
    with pytest.raises(InvalidInput, match="no source tree of llama.cpp"):
        source_archive.unpack_into(
            io.BytesIO(archive(("a/CMakeLists.txt", "project(x)"))), False, str(tmp_path / "tree")
        )
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def test_resolve_needs_no_network_for_what_is_pinned():
    exact = source_archive.resolve(source.read({"type": "sdist"}))
    assert exact.commit == "sha256:832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
    assert (exact.version, exact.record["version"]) == ("0.5.0", "0.3.36")
    with pytest.raises(InvalidInput, match="source.checksum"):
        source_archive.resolve(source.read({"type": "sdist", "version": "0.3.99"}))
    assert source_archive.resolve(WANTED).version is None


def test_a_local_file_is_its_own_name(tmp_path):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(SDIST)
    assert source_archive.resolve(source.Source("archive", path=str(path))).commit == f"sha256:{SHA}"
    assert source_archive.resolve(source.Source("archive", path=str(tmp_path / "none"))) is None
    assert source_archive.resolve(source.Source("archive", path=str(tmp_path / "none"), checksum=SHA)).commit.endswith(
        SHA
    )
    with pytest.raises(InvalidInput, match="cannot be read"):
        source_archive.resolve(source.Source("archive", path=str(tmp_path)))
    with pytest.raises(Untrusted, match="was asked for"):
        source_archive.open_file(source.Source("archive", path=str(path)), "0" * 64)


def test_a_password_is_not_recorded():
    exact = source_archive.resolve(source.Source("archive", url="https://bob:hunter2@host/a.tgz?sig=x", checksum=SHA))
    assert exact.record["url"] == "https://host/a.tgz"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"type": "sdist", "ref": "v1"}, "source.ref does not go with source.type sdist"),
        ({"type": "git", "checksum": "0" * 64}, "source.checksum does not go"),
        ({"type": "tarball"}, "source.type cannot be"),
        ({"type": "archive"}, "either source.url or source.path"),
        ({"type": "archive", "url": "https://x/y", "path": "/x"}, "either source.url or source.path"),
        ({"type": "archive", "url": "https://x/y"}, "needs source.checksum"),
        ({"type": "archive", "path": "/x", "checksum": "md5:00"}, "must be a SHA-256"),
        ({"type": "sdist", "url": "https://x", "path": "/x"}, "either source.url"),
        ({"commit": "abc1234"}, "full commit"),
        ({"commit": "0" * 39 + "\n"}, "full commit"),
    ],
)
def test_sources_that_make_no_sense(given, said):
    with pytest.raises(InvalidInput, match=said):
        source.read(given)


def test_reading_a_source():
    assert source.read({"type": None, "ref": None}) == source.Source("git")
    assert source.read({"type": "archive", "path": "/x", "checksum": f"SHA256:{SHA.upper()}"}).checksum == SHA
