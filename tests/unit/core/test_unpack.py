# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import unpack
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import Untrusted
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

FILE, FOLDER, LINK, HARD, DEVICE, PIPE = (
    tarfile.REGTYPE,
    tarfile.DIRTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.CHRTYPE,
    tarfile.FIFOTYPE,
)
GOOD_ZIP = [("a", 0, "b")]
GOOD = [("top/CMakeLists.txt", FILE, "hello"), ("top/src", FOLDER, ""), ("top/src/a.cpp", FILE, "int main;")]


def tar(members, mode: str = "w:gz") -> io.BytesIO:
    """An archive of (name, type, content or link target)."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as archive:
        for name, kind, text in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            info.mode = 0o6777
            info.uid = 12345
            if kind == FILE:
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text.encode()))
            else:
                info.linkname = text
                archive.addfile(info)
    data.seek(0)
    return data


def packed_zip(members) -> io.BytesIO:
    """The same as a zip file; the type is a file type of stat(2)."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, kind, text in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = (kind | 0o755) << 16
            archive.writestr(info, text)
    data.seek(0)
    return data


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_tar_files(tmp_path, mode):
    target = tmp_path / "out"
    assert unpack.extract(tar(GOOD, mode), str(target)) == 2
    assert (target / "top/CMakeLists.txt").read_text() == "hello"
    assert stat.S_IMODE((target / "top/src/a.cpp").stat().st_mode) == 0o755
    assert (target / "top/src/a.cpp").stat().st_uid != 12345


def test_zip_files(tmp_path):
    members = [
        ("top/", stat.S_IFDIR, ""),
        ("top/a", stat.S_IFREG, "x"),
        ("top/l", stat.S_IFLNK, "a"),
        ("top/b", 0, "y"),
    ]
    assert unpack.extract(packed_zip(members), str(tmp_path / "out")) == 3 - 1
    assert (tmp_path / "out/top/l").read_text() == "x"


def test_only_a_part(tmp_path):
    members = [
        ("p-1/setup.py", FILE, "evil"),
        ("p-1/vendor/llama.cpp/a", FILE, "a"),
        ("p-1/vendor/llama.cppx/b", FILE, "b"),
    ]
    assert unpack.extract(tar(members), str(tmp_path / "out"), only="vendor/llama.cpp") == 1
    assert [str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()] == [
        "p-1/vendor/llama.cpp/a"
    ]


def test_links_that_stay_inside(tmp_path):
    members = [
        *GOOD,
        ("top/l", LINK, "src/a.cpp"),
        ("top/src/up", LINK, "../CMakeLists.txt"),
        ("top/dead", LINK, "nowhere"),
    ]
    unpack.extract(tar(members), str(tmp_path / "out"))
    assert (tmp_path / "out/top/l").read_text() == "int main;"
    assert (tmp_path / "out/top/src/up").read_text() == "hello"


HOSTILE = {
    "absolute": [("/etc/evil", FILE, "x")],
    "climbs": [("top/../../evil", FILE, "x")],
    "climbs from the start": [("../evil", FILE, "x")],
    "backslash": [("..\\evil", FILE, "x")],
    "line break": [("a\nb", FILE, "x")],
    "link out, absolute": [("l", LINK, "/etc")],
    "link out, relative": [("a/l", LINK, "../../..")],
    "link out through a link": [("a/b/c", FOLDER, ""), ("a/b/c/up", LINK, "../../.."), ("a/b/c/x", LINK, "up/../evil")],
    "empty link": [("l", LINK, "")],
    "write through a link": [("l", LINK, "."), ("l/f", FILE, "x")],
    "a link in the place of a file": [("f", FILE, "x"), ("f", LINK, "g")],
    "twice": [("f", FILE, "x"), ("f", FILE, "y")],
    "a file in the place of a folder": [("d/f", FILE, "x"), ("d", FILE, "y")],
    "a folder in the place of a file": [("d", FILE, "x"), ("d/f", FILE, "y")],
    "hard link": [("f", FILE, "x"), ("h", HARD, "f")],
    "hard link out": [("h", HARD, "/etc/passwd")],
    "device": [("d", DEVICE, "")],
    "pipe": [("p", PIPE, "")],
}


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_tar_files(tmp_path, members):
    with pytest.raises(Untrusted):
        unpack.extract(tar(members), str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []
    assert not Path("/etc/evil").exists()


@pytest.mark.parametrize(
    "members",
    [
        [("/evil", stat.S_IFREG, "x")],
        [("a/../../evil", stat.S_IFREG, "x")],
        [("l", stat.S_IFLNK, "../..")],
        [("d", stat.S_IFCHR, "")],
        [("l", stat.S_IFLNK, "."), ("l/f", stat.S_IFREG, "x")],
    ],
)
def test_hostile_zip_files(tmp_path, members):
    with pytest.raises(Untrusted):
        unpack.extract(packed_zip(members), str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limits", [{"members": 2}, {"size": 10}])
def test_too_much(tmp_path, limits):
    with pytest.raises(Untrusted, match="more than"):
        unpack.extract(tar(GOOD), str(tmp_path / "out"), **limits)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no archive",
        b"PK\x03\x04 broken",
        tar(GOOD).getvalue()[:60],
        packed_zip(GOOD_ZIP).getvalue()[:20],
    ],
)
def test_damaged(tmp_path, data):
    with pytest.raises(Untrusted):
        unpack.extract(io.BytesIO(data), str(tmp_path / "out"))


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], max_examples=150)
@given(where=st.integers(0, 400), byte=st.integers(0, 255), zipped=st.booleans())
@example(where=381, byte=0, zipped=True)  # a member without a name
def test_a_flipped_byte_is_no_crash(tmp_path_factory, where, byte, zipped):
    data = bytearray((packed_zip(GOOD_ZIP) if zipped else tar(GOOD, "w")).getvalue())
    data[where % len(data)] = byte
    folder = tmp_path_factory.mktemp("fuzz")
    try:
        unpack.extract(io.BytesIO(bytes(data)), str(folder / "out"))
    except Untrusted:
        pass
    assert {path.name for path in folder.iterdir()} <= {"out"}
