# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CUDA, ROCm, Vulkan and BLAS on made-up hosts."""

from __future__ import annotations

import os

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import blas, cuda, rocm, vulkan
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput, MissingTool
from fixtures import toolkits


@pytest.fixture
def host(tmp_path):
    """A host with CUDA 9.2, 12.4 and 13.0; 13.0 is /usr/local/cuda."""
    for version in ("9.2", "12.4", "13.0"):
        toolkits.cuda(tmp_path / "usr/local" / f"cuda-{version}", version)
    (tmp_path / "usr/local/cuda").symlink_to("cuda-13.0")
    return tmp_path


def found(root, home=None, path="", **environment):
    return cuda.find(home, path, environment, str(root))


def test_toolkits_are_sorted_by_version_and_each_is_there_once(host):
    assert [toolkit.name for toolkit in found(host)] == ["13.0", "12.4", "9.2"]


@pytest.mark.parametrize(
    ("driver", "chosen"), [(None, "13.0"), ("13.1", "13.0"), ("12.2", "12.4"), ("11.8", "9.2"), ("8.0", None)]
)
def test_the_newest_that_the_driver_can_run(host, driver, chosen):
    toolkit = cuda.choose(found(host), driver)
    assert (toolkit and toolkit.name) == chosen


def test_a_toolkit_may_be_named_by_path_or_environment(host, tmp_path):
    other = toolkits.cuda(tmp_path / "data" / "cuda", "12.8")
    assert [str(toolkit) for toolkit in found(host, str(other))] == [f"CUDA 12.8 in {other}"]
    assert "12.8" in [toolkit.name for toolkit in found(host, CUDA_HOME=str(other))]
    assert "12.8" in [toolkit.name for toolkit in found(host, path=f"/x:{other}/bin")]
    with pytest.raises(InvalidInput, match="is no CUDA toolkit"):
        found(host, str(tmp_path))
    # a script on PATH that only starts an nvcc elsewhere is no toolkit
    toolkits.write(tmp_path / "wrapper" / "bin" / "nvcc", "#!/bin/sh\n", 0o755)
    assert "wrapper" not in str(found(host, path=f"{tmp_path}/wrapper/bin"))


def test_what_a_toolkit_can(tmp_path):
    new, old = (cuda.find(str(toolkits.cuda(tmp_path / name, name)), "", {})[0] for name in ("13.0", "12.4"))
    # as `nvcc --list-gpu-arch` of CUDA 13.0 says
    assert new.compiles_for() == [75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121]
    assert (old.compiles_for()[0], old.compiles_for()[-1]) == (50, 90)
    assert (new.knows(70), old.knows(70), old.knows(120), new.knows(130)) == (False, True, False, False)
    assert cuda.Toolkit("/x", (14, 0)).knows(130)
    assert new.newest_gcc() == 15


def test_missing_parts_are_named(tmp_path):
    bare = toolkits.cuda(tmp_path / "cuda", without=("libcublas.so", "cublas_v2.h", "libcuda.so"))
    assert cuda.find(str(bare), "", {})[0].missing() == ["libcublas.so", "stubs/libcuda.so", "cublas_v2.h"]
    assert cuda.find(str(toolkits.cuda(tmp_path / "b", static=True)), "", {})[0].missing(static=True) == []
    assert "libcublas_static.a" in cuda.find(str(toolkits.cuda(tmp_path / "c")), "", {})[0].missing(static=True)


def test_architectures():
    assert cuda.of_devices(["8.6", "9.0", "8.6", None]) == ["86-real", "90"]
    assert cuda.of_devices([]) == []
    assert cuda.check_architectures(["120a-real", "90", "86-virtual", "90"]) == ["86-virtual", "90", "120a-real"]
    for wrong in ("native", "9.0", "sm_90", "90;--x", "", "all"):
        with pytest.raises(InvalidInput, match="no CUDA architecture"):
            cuda.check_architectures([wrong])


@pytest.mark.parametrize(
    ("architecture", "capability", "good"),
    [
        ("90", "9.0", True),
        ("86-real", "8.9", True),
        ("89-real", "8.6", False),
        ("80", "9.0", True),
        ("80-real", "9.0", False),
        ("80-virtual", "12.0", True),
        ("90a", "10.0", False),
        ("90a", "9.0", True),
    ],
)
def test_which_gpu_an_architecture_serves(architecture, capability, good):
    assert cuda.serves(architecture, capability) is good


def test_rocm(tmp_path):
    toolkits.rocm(tmp_path / "opt/rocm-5.7.1", "5.7.1")
    toolkits.rocm(tmp_path / "opt/rocm-6.2.0")
    newest = rocm.find(None, {}, str(tmp_path))
    assert (newest.name, newest.missing()) == ("6.2", [])
    assert newest.compiler().endswith("/llvm/bin/clang++")
    bare = toolkits.rocm(tmp_path / "x", without=("hipblas", "clang++"))
    assert rocm.find(str(bare), {}).missing() == ["hipblas", "clang++"]
    assert rocm.find(None, {}, str(tmp_path / "nothing")) is None
    with pytest.raises(InvalidInput, match="is no ROCm"):
        rocm.find(str(tmp_path / "nothing"), {})
    assert rocm.check_architectures(["gfx1100", "gfx90a:xnack-", "gfx1100"]) == ["gfx1100", "gfx90a:xnack-"]
    with pytest.raises(InvalidInput, match="no GPU target"):
        rocm.check_architectures(["gfx1100;x"])


def test_vulkan(tmp_path):
    toolkits.vulkan(tmp_path)
    assert vulkan.missing(str(tmp_path / "usr/bin"), str(tmp_path)) == []
    os.unlink(tmp_path / "usr/bin/glslc")
    assert vulkan.missing(str(tmp_path / "usr/bin"), str(tmp_path)) == ["glslc"]
    assert len(vulkan.missing("", str(tmp_path / "nothing"))) == 4


def test_vulkan_headers_that_are_too_old_are_named(tmp_path):
    toolkits.vulkan(tmp_path)
    (tmp_path / "usr/include/vulkan/vulkan_core.h").write_text("#define VK_HEADER_VERSION 239\n")
    [lacking] = vulkan.missing(str(tmp_path / "usr/bin"), str(tmp_path))
    assert "1.3.272 or newer" in lacking


MKL = ("opt/intel/oneapi/mkl/latest/lib/libmkl_rt.so", "opt/intel/oneapi/mkl/latest/include/mkl.h")
OPENBLAS = ("usr/lib/aarch64-linux-gnu/libopenblas.so", "usr/include/aarch64-linux-gnu/cblas.h")


@pytest.mark.parametrize(
    ("files", "asked", "here", "chosen"),
    [
        ((), "auto", True, "none"),
        (OPENBLAS, "auto", True, "openblas"),
        (MKL + OPENBLAS, "auto", True, "mkl"),
        (MKL + OPENBLAS, "openblas", True, "openblas"),
        (MKL + OPENBLAS, "none", True, "none"),
        (MKL + OPENBLAS, "auto", False, "none"),
        (OPENBLAS[:1], "auto", True, "none"),
    ],
)
def test_blas(plant, files, asked, here, chosen):
    choice = blas.choose(asked, here, plant(dict.fromkeys(files, "")))
    assert choice.name == chosen
    assert choice.options.get("GGML_BLAS_VENDOR") == blas.VENDORS.get(chosen)
    assert bool(choice.found["mkl"]) == (MKL[0] in files)
    assert choice.reason


def test_a_blas_that_is_asked_for_must_be_there(plant):
    with pytest.raises(MissingTool, match="libopenblas.so.*apt: libopenblas-dev.*zypper"):
        blas.choose("openblas", True, plant({}))
