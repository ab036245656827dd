# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real shared libraries, made by the compiler of this machine: what they need is found, or named."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import elf, libraries, outputs
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import NotProven, Untrusted
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree
from hypothesis import given, settings
from hypothesis import strategies as st


def cc(target: Path, text: str, *flags: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    script = target.parent / "versions.map"
    if "VERSION_2" in text:
        script.write_text("VERSION_1 { global: one; };\nVERSION_2 { global: two; } VERSION_1;\n")
        flags = (*flags, f"-Wl,--version-script={script}")
    argv = ["cc", "-x", "c", "-", "-x", "none", "-o", str(target), *flags]
    subprocess.run(argv, input=text, text=True, check=True)
    script.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A build folder: bin/prog needs libnew.so.1 (two symbol versions) and the C library, the rest needs nothing."""
    folder = tmp_path_factory.mktemp("made")
    library = folder / "lib" / "libnew.so.1"
    cc(
        library,
        "int one(void){return 1;} int two(void){return 2;} /* VERSION_2 */",
        "-shared",
        "-fPIC",
        "-Wl,-soname,libnew.so.1",
    )
    rpath = "-Wl,--enable-new-dtags,-rpath,$ORIGIN/../lib"
    cc(folder / "bin" / "prog", "int two(void); int main(){return two();}", str(library), rpath)
    return folder


def test_what_a_file_needs_and_offers(made):
    prog, library = elf.read(str(made / "bin/prog")), elf.read(str(made / "lib/libnew.so.1"))
    assert {"libnew.so.1", "libc.so.6"} <= set(prog.needed)
    assert prog.rpath == ("$ORIGIN/../lib",)
    assert prog.versions["libnew.so.1"] == ("VERSION_2",)
    assert library.soname == "libnew.so.1"
    assert {"VERSION_1", "VERSION_2"} <= library.defines
    assert prog.machine == library.machine


def test_all_is_found_beside_the_program_and_on_the_system(made):
    assert libraries.missing(str(made), driver=True) == []
    libraries.require(str(made), driver=True)


def test_a_library_that_is_missing_is_named_with_its_user(made, tmp_path):
    subprocess.run(["cp", "-a", made, tmp_path / "copy"], check=True)
    os.unlink(tmp_path / "copy/lib/libnew.so.1")
    with pytest.raises(NotProven, match=r"libnew.so.1 \(for prog\)"):
        libraries.require(str(tmp_path / "copy"), driver=True)


def test_the_package_of_a_missing_library_is_named(tmp_path):
    cc(tmp_path / "bin" / "libgomp.so.1", "int omp(void){return 1;}", "-shared", "-fPIC", "-Wl,-soname,libgomp.so.1")
    cc(
        tmp_path / "bin" / "libuser.so",
        "int omp(void);int f(void){return omp();}",
        "-shared",
        "-fPIC",
        str(tmp_path / "bin/libgomp.so.1"),
    )
    os.unlink(tmp_path / "bin" / "libgomp.so.1")
    with pytest.raises(NotProven) as raised:
        libraries.require(str(tmp_path), driver=False, root=str(tmp_path / "empty"))
    assert "libgomp.so.1 (for libuser.so)" in str(raised.value)
    assert "libgomp.so.1 (apt: libgomp1, dnf: libgomp," in raised.value.remedy


def test_an_older_library_lacks_a_version(made, tmp_path):
    subprocess.run(["cp", "-a", made, tmp_path / "copy"], check=True)
    old = tmp_path / "copy/lib/libnew.so.1"
    os.unlink(old)
    script = tmp_path / "map"
    script.write_text("VERSION_1 { global: one; };\n")
    cc(old, "int one(void){return 1;}", "-shared", "-fPIC", "-Wl,-soname,libnew.so.1", f"-Wl,--version-script={script}")
    [said] = libraries.missing(str(tmp_path / "copy"), driver=True)
    assert said.startswith("VERSION_2 in ") and said.endswith("(for prog)")


def test_a_package_that_is_there_and_too_old_is_not_asked_for(tmp_path):
    new, old = tmp_path / "new" / "libgomp.so.1", tmp_path / "root/usr/lib64/libgomp.so.1"
    shared = ("-shared", "-fPIC", "-Wl,-soname,libgomp.so.1")
    cc(new, "int one(void){return 1;} int two(void){return 2;} /* VERSION_2 */", *shared)
    cc(tmp_path / "bin" / "prog", "int two(void); int main(){return two();}", str(new))
    script = tmp_path / "map"
    script.write_text("VERSION_1 { global: one; };\n")
    cc(old, "int one(void){return 1;}", *shared, f"-Wl,--version-script={script}")
    with pytest.raises(NotProven, match="VERSION_2 in ") as raised:
        libraries.require(str(tmp_path), driver=False, root=str(tmp_path / "root"))
    assert "libgomp1" not in raised.value.remedy and "build for this distribution" in raised.value.remedy


def test_the_driver_comes_with_the_host(tmp_path):
    cc(tmp_path / "x" / "libcuda.so.1", "int cuInit(void){return 0;}", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1")
    cc(
        tmp_path / "bin" / "prog",
        "int cuInit(void); int main(){return cuInit();}",
        str(tmp_path / "x" / "libcuda.so.1"),
    )
    assert libraries.missing(str(tmp_path), driver=False) == []
    assert libraries.missing(str(tmp_path), driver=True) == ["libcuda.so.1 (for prog)"]


def test_folders_of_the_loader(plant):
    root = plant(
        {
            "etc/ld.so.conf": "include /etc/ld.so.conf.d/*.conf\n# no\n/opt/last\n",
            "etc/ld.so.conf.d/a.conf": "/opt/first\n",
            "usr/lib/x": "",
        }
    )
    assert [path.removeprefix(root) for path in libraries.system_folders(root)] == [
        "/opt/first",
        "/opt/last",
        "/usr/lib",
    ]


def test_programs_libraries_and_backends_go_to_their_places(made, tmp_path):
    """As upstream's build folder: programs, versioned libraries with links, a backend that nothing needs."""
    built = tmp_path / "root" / "work" / "build" / "bin"
    base = built / "libggml-base.so.0.1"
    cc(base, "int base(void){return 0;}", "-shared", "-fPIC", "-Wl,-soname,libggml-base.so.0")
    (built / "libggml-base.so.0").symlink_to(base.name)
    toolkit = tmp_path / "cuda"
    cc(toolkit / "libcublasLt.so.13", "int lt(void){return 0;}", "-shared", "-fPIC", "-Wl,-soname,libcublasLt.so.13")
    lt = str(toolkit / "libcublasLt.so.13")
    cc(
        toolkit / "libcublas.so.13",
        "int lt(void); int blas(void){return lt();}",
        "-shared",
        "-fPIC",
        lt,
        "-Wl,-soname,libcublas.so.13",
    )
    cc(
        built / "libggml-cuda.so",
        "int blas(void); int cuda(void){return blas();}",
        "-shared",
        "-fPIC",
        str(toolkit / "libcublas.so.13"),
    )
    cc(built / "llama-server", "int base(void); int main(){return base();}", str(base), "-Wl,-rpath,$ORIGIN/../lib")
    target, before = tmp_path / "builds" / "new", tmp_path / "builds" / "old"
    for folder in (target / "bin", target / "lib", before / "lib"):
        folder.mkdir(parents=True)
    shared = before / "lib" / "libcublas.so.13"
    shared.write_bytes((toolkit / "libcublas.so.13").read_bytes())
    (before / "lib" / "libcublasLt.so.13").write_text("of another version")
    tree = Tree(str(tmp_path / "root"), "user")
    bundled = outputs.copy(tree, ["llama-server"], str(target), [str(toolkit)])
    assert bundled == ["lib/libcublas.so.13", "lib/libcublasLt.so.13"]
    assert sorted(os.listdir(target / "bin")) == ["libggml-cuda.so", "llama-server"]
    assert sorted(os.listdir(target / "lib")) == ["libcublas.so.13", "libcublasLt.so.13", "libggml-base.so.0"]
    assert subprocess.run([target / "bin/llama-server"], check=False).returncode == 0
    # what another build has already is there once on the disk
    assert (target / "lib" / "libcublas.so.13").samefile(shared)
    assert not (target / "lib" / "libcublasLt.so.13").samefile(before / "lib" / "libcublasLt.so.13")


@given(st.data())
@settings(max_examples=60)
def test_a_damaged_file_is_refused_or_read_and_never_more(made, tmp_path_factory, data):
    original = (made / "lib/libnew.so.1").read_bytes()
    spoilt = bytearray(original[: data.draw(st.integers(0, len(original)))])
    for _number in range(data.draw(st.integers(0, 8))):
        if spoilt:
            spoilt[data.draw(st.integers(0, min(len(spoilt) - 1, 4095)))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "spoilt.so"
    path.write_bytes(spoilt)
    try:
        elf.read(str(path))
    except Untrusted:
        pass
