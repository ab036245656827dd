# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import index
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput, Unreachable
from fixtures import local_index
from fixtures.local_index import JSON, PROJECT, html_page, json_page


@pytest.fixture
def packages(monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with local_index.serving() as index:
        yield index


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
    with local_index.serving() as other:
        other.put(f"/simple/{PROJECT}/", json_page(FILES[2]), JSON)
        packages.put(f"/simple/{PROJECT}/", b"", status=302, Location=f"{other.url}/{PROJECT}/")
        index.find_file([packages.url.replace("http://", "http://bob:hunter2@")], PROJECT, "0.3.36")
        assert packages.asked[0][1]["Authorization"] == "Basic Ym9iOmh1bnRlcjI="
        assert "Authorization" not in other.asked[0][1]


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
