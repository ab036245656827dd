# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backend takes on a host, with made-up toolkits: its part of the recipe and its rows of the preflight."""

from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import means
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build.backend import Choice
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build.means import Wanted
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build.toolchain import Toolchain
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.host.gpu import Seen
from fixtures import toolkits


def gpu(capability, backend="cuda"):
    return {"id": "GPU-a", "name": "x", "backend": backend, "total": 1, "compute_capability": capability}


def seen(*devices, cuda="13.0"):
    return Seen([], list(devices), [], "580.65", cuda if devices else None, None)


def find(backend, host, compiler="gnu-12", path="/nonexistent", **wanted):
    return means.find(Choice(backend, ""), Wanted(**wanted), Toolchain(path, {}, compiler, True), host)


def failed(found):
    return {row.name: row for row in found.rows if not row.ok}


@pytest.fixture
def home(tmp_path):
    return str(toolkits.cuda(tmp_path / "cuda-13.0"))


def test_cuda_for_the_gpus_of_the_host(home):
    found = find("cuda", seen(gpu("8.6"), gpu("9.0")), cuda_home=home)
    assert failed(found) == {}
    assert dict(found.options) == {"GGML_CUDA": "ON", "CMAKE_CUDA_ARCHITECTURES": "86-real;90"}
    assert dict(found.recipe) == {"cuda": "13.0", "cuda_runtime": "bundle"}
    # paths of this host are for CMake alone: another host with the same toolkit elsewhere makes the same build
    assert dict(found.arguments) == {"CMAKE_CUDA_COMPILER": f"{home}/bin/nvcc", "CUDAToolkit_ROOT": home}
    assert found.bundle == (f"{home}/lib64",)
    assert "V13.0.88" in found.versions()["nvcc"]
    assert find("cuda", seen(gpu("9.0")), cuda_home=home, cuda_runtime="system").bundle == ()


def test_cuda_for_other_hosts_needs_architectures_and_must_not_become_active(home):
    with pytest.raises(InvalidInput, match=r"Name them: architectures"):
        find("cuda", seen(), cuda_home=home, activate=False)
    found = find("cuda", seen(), cuda_home=home, architectures=["90"], activate=False)
    assert failed(found) == {}
    row = failed(find("cuda", seen(), cuda_home=home, architectures=["90"]))["device"]
    assert row.found == "no CUDA device" and "activate: false" in row.remedy


@pytest.mark.parametrize(
    ("driver", "capability", "wanted", "compiler", "name", "said"),
    [
        ("12.4", "9.0", {}, "gnu-12", "CUDA driver", "the driver has CUDA 12.4"),
        ("13.0", "7.0", {}, "gnu-12", "CUDA architectures", "70"),
        ("13.0", "8.9", {"architectures": ["90"]}, "gnu-12", "CUDA architectures", "this host has GPUs of 8.9"),
        ("13.0", "9.0", {}, "gnu-16", "CUDA compiler", "gnu-16"),
    ],
)
def test_what_does_not_go_together_is_a_row_with_a_remedy(home, driver, capability, wanted, compiler, name, said):
    found = find("cuda", seen(gpu(capability), cuda=driver), compiler, cuda_home=home, **wanted)
    row = failed(found)[name]
    assert said in row.found
    assert row.remedy
    assert list(failed(found)) == [name]


def test_another_host_compiler_is_not_held_to_the_first_one(home):
    given = {"CMAKE_CUDA_HOST_COMPILER": "/usr/bin/g++-14"}
    assert failed(find("cuda", seen(gpu("9.0")), "gnu-16", cuda_home=home, cmake_options=given)) == {}


def test_parts_that_a_toolkit_lacks(tmp_path):
    bare = str(toolkits.cuda(tmp_path / "cuda", without=("libcublas.so", "cublas_v2.h")))
    row = failed(find("cuda", seen(gpu("9.0")), cuda_home=bare))["CUDA parts"]
    assert row.needed == "libcublas.so, cublas_v2.h in the CUDA toolkit"


def test_a_static_runtime_leads_cmake_to_the_archives(tmp_path, home):
    assert (
        "libcudart_static.a"
        in failed(find("cuda", seen(gpu("9.0")), cuda_home=home, cuda_runtime="static"))["CUDA parts"].needed
    )
    full = str(toolkits.cuda(tmp_path / "full", static=True))
    found = find("cuda", seen(gpu("9.0")), cuda_home=full, cuda_runtime="static")
    assert failed(found) == {} and found.bundle == ()
    assert found.arguments["CUDA_cublas_LIBRARY"] == f"{full}/lib64/libcublas_static.a"
    assert "libcublasLt_static.a" in found.arguments["CMAKE_CUDA_STANDARD_LIBRARIES"]


def test_hip(tmp_path):
    home = str(toolkits.rocm(tmp_path / "rocm"))
    found = find("hip", seen(gpu("gfx1100", "hip")), rocm_home=home)
    assert failed(found) == {}
    assert found.options["CMAKE_HIP_ARCHITECTURES"] == "gfx1100"
    assert found.recipe == {"rocm": "6.2"}
    assert found.arguments == {"CMAKE_HIP_COMPILER": f"{home}/llvm/bin/clang++"}
    assert found.environment["ROCM_PATH"] == home
    old = str(toolkits.rocm(tmp_path / "old", "5.7.1", without=("rocblas",)))
    assert set(failed(find("hip", seen(gpu("gfx1100", "hip")), rocm_home=old))) == {"ROCm", "ROCm parts"}
    with pytest.raises(InvalidInput, match="gfx1100"):
        find("hip", seen(), rocm_home=home)


def test_vulkan_and_cpu():
    found = find("vulkan", seen(gpu(None, "vulkan")))
    assert found.options == {"GGML_VULKAN": "ON"}
    if "Vulkan" in failed(found):  # the tests' machine has no SDK
        assert "glslc" in failed(found)["Vulkan"].needed
    with pytest.raises(InvalidInput, match="do not go with"):
        find("vulkan", seen(), architectures=["90"])
    assert find("cpu", seen(), blas="none").rows == ()
