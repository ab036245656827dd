# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import http.server
import io
import json
import tarfile
import threading

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import index, source, source_archive
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput, Unreachable, Untrusted

PROJECT = "llama-cpp-python"
JSON = "application/vnd.pypi.simple.v1+json"


class Index:
    """A package index on the loopback that speaks the Simple API, in JSON or HTML, to those who ask for it."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, dict(self.headers)))
                status, headers, body = outer.pages.get(self.path, (404, {}, b"gone"))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/simple"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def put(self, path: str, body: bytes, kind: str = "text/html", status: int = 200, **headers: str) -> None:
        self.pages[path] = (status, {"Content-Type": kind, **headers}, body)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def packages(monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Index()
    yield server
    server.close()


def json_page(*names: str) -> bytes:
    return json.dumps(
        {"files": [{"filename": name, "url": f"../../files/{name}", "hashes": {}} for name in names]}
    ).encode()


def html_page(*names: str) -> bytes:
    links = "".join(f'<a href="../../files/{name}#sha256=00" data-x="y">{name}</a><br>' for name in names)
    return f"<!DOCTYPE html><html><body>{links}</body></html>".encode()


FILES = (
    "llama_cpp_python-0.3.36-cp311-cp311-linux_x86_64.whl",
    "llama_cpp_python-0.3.35.tar.gz",
    "llama_cpp_python-0.3.36.tar.gz",
    "llama-cpp-python-0.1.1.tar.gz",
    "llama_cpp_python_extra-0.3.36.tar.gz",
)


@pytest.mark.parametrize(("page", "kind"), [(json_page(*FILES), JSON), (html_page(*FILES), "text/html; charset=utf-8")])
@pytest.mark.parametrize(("version", "name"), [("0.3.36", FILES[2]), ("0.3.35", FILES[1]), ("0.1.1", FILES[3])])
def test_both_forms_of_an_index(packages, page, kind, version, name):
    packages.put(f"/simple/{PROJECT}/", page, kind)
    found = index.find_file([packages.url], PROJECT, version)
    assert found.partition("#")[0] == packages.url.replace("/simple", f"/files/{name}")
    assert JSON in packages.asked[0][1]["Accept"]


def test_an_index_as_files(tmp_path):
    (tmp_path / PROJECT).mkdir()
    (tmp_path / PROJECT / "index.html").write_bytes(html_page(*FILES))
    found = index.find_file([f"file://{tmp_path}"], PROJECT, "0.3.36")
    assert found.endswith("/files/llama_cpp_python-0.3.36.tar.gz#sha256=00")


def test_the_first_index_that_has_it_wins_and_a_dead_one_is_no_obstacle(packages):
    packages.put(f"/empty/{PROJECT}/", json_page("llama_cpp_python-0.1.0.tar.gz"), JSON)
    packages.put(f"/simple/{PROJECT}/", json_page(FILES[2]), JSON)
    indexes = ["http://127.0.0.1:9/simple", packages.url.replace("simple", "empty"), packages.url]
    assert index.find_file(indexes, PROJECT, "0.3.36").endswith(FILES[2])


def test_a_version_that_is_not_there_names_the_newest(packages):
    packages.put(f"/simple/{PROJECT}/", json_page(*(f"llama_cpp_python-0.3.{n}.tar.gz" for n in (9, 10, 2))), JSON)
    with pytest.raises(InvalidInput, match=r"0\.3\.2, 0\.3\.9, 0\.3\.10"):
        index.find_file([packages.url], PROJECT, "0.4.0")


@pytest.mark.parametrize(
    ("page", "kind", "said"),
    [
        (b"{", JSON, "no page of a package index"),
        (b"[]", JSON, "no page of a package index"),
        (b'{"files": [{"url": "x"}]}', JSON, "no page of a package index"),
    ],
)
def test_nonsense_is_named(packages, page, kind, said):
    packages.put(f"/simple/{PROJECT}/", page, kind)
    with pytest.raises(Unreachable, match=said):
        index.find_file([packages.url], PROJECT, "0.3.36")


def test_a_dead_index_is_named_without_its_password():
    with pytest.raises(Unreachable, match="127.0.0.1:9") as caught:
        index.find_file(["http://bob:hunter2@127.0.0.1:9/simple?token=abc"], PROJECT, "0.3.36")
    assert "hunter2" not in str(caught.value)
    assert "abc" not in str(caught.value)
    assert "PIP_INDEX_URL" in caught.value.remedy


def test_a_password_goes_to_its_own_host_only(packages):
    other = Index()
    try:
        other.put(f"/simple/{PROJECT}/", json_page(FILES[2]), JSON)
        packages.put(f"/simple/{PROJECT}/", b"", status=302, Location=f"{other.url}/{PROJECT}/")
        index.find_file([packages.url.replace("http://", "http://bob:hunter2@")], PROJECT, "0.3.36")
        assert packages.asked[0][1]["Authorization"] == "Basic Ym9iOmh1bnRlcjI="
        assert "Authorization" not in other.asked[0][1]
    finally:
        other.close()


@pytest.mark.parametrize("url", ["ftp://host/simple", "data:text/html,x", "http://host/si mple", "/etc/passwd", ""])
def test_other_schemes_are_refused(url):
    with pytest.raises(InvalidInput, match="cannot be fetched"):
        index.authorise(url)


USER, LEGACY, SYSTEM = ".config/pip/pip.conf", ".pip/pip.conf", "etc/pip.conf"
A, B = "[global]\nindex-url = https://a\n", "[global]\nindex-url = https://b\n"


@pytest.mark.parametrize(
    ("environ", "config", "indexes"),
    [
        ({}, {}, [index.PUBLIC]),
        ({"PIP_INDEX_URL": "https://c"}, {USER: A}, ["https://c"]),
        (
            {"PIP_INDEX_URL": "https://c", "PIP_EXTRA_INDEX_URL": "https://d  https://e"},
            {},
            "https://c https://d https://e",
        ),
        ({}, {USER: A}, ["https://a"]),
        ({}, {SYSTEM: B, USER: A}, ["https://a"]),
        ({}, {SYSTEM: B}, ["https://b"]),
        ({}, {LEGACY: B, USER: A}, ["https://a"]),
        ({}, {USER: A + "[download]\nindex-url=https://d\n"}, ["https://d"]),
        (
            {},
            {SYSTEM: "[global]\nextra-index-url = file:///x\n  file:///y\n"},
            [index.PUBLIC, "file:///x", "file:///y"],
        ),
        ({}, {USER: "broken"}, [index.PUBLIC]),
        ({"PIP_CONFIG_FILE": "/dev/null"}, {USER: A}, [index.PUBLIC]),
    ],
)
def test_the_index_is_the_one_of_pip(plant, environ, config, indexes):
    root = plant(config or {"empty": ""})
    assert index.configured(environ, root, root) == (indexes.split() if isinstance(indexes, str) else indexes)


# ---- archives and source distributions


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
    packages.close()
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
