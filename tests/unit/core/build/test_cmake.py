# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import cmake, recipe
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput

NATIVE = recipe.choose_cpu("native", "x86_64", {"sse4_2", "avx", "avx2"})
PORTABLE = recipe.choose_cpu("portable", "x86_64", ())
CUDA = {"GGML_CUDA": "ON", "CMAKE_CUDA_ARCHITECTURES": "86-real;90"}


def test_cmake_options_of_the_user_win_over_defaults_only():
    options = cmake.options(
        {"GGML_LTO": True, "GGML_RPC": False, "GGML_SCHED_MAX_COPIES": 2, "CMAKE_BUILD_TYPE": "RelWithDebInfo"},
        NATIVE,
        True,
    )
    assert options["GGML_LTO"] == "ON"
    assert options["GGML_RPC"] == "OFF"
    assert options["GGML_SCHED_MAX_COPIES"] == "2"
    assert options["CMAKE_BUILD_TYPE"] == "RelWithDebInfo"
    assert options["LLAMA_OPENSSL"] == "ON"
    assert options["BUILD_SHARED_LIBS"] == "OFF"
    assert cmake.options({}, NATIVE, False)["LLAMA_OPENSSL"] == "OFF"
    assert cmake.options({"BUILD_SHARED_LIBS": "OFF"}, NATIVE, False) == cmake.options({}, NATIVE, False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"BUILD_SHARED_LIBS": True}, "set to OFF by llama_build itself"),
        ({"GGML_NATIVE": "OFF"}, "by llama_build itself"),
        ({"GGML_AVX512": "ON"}, "cpu: baseline frees"),
        ({"LLAMA_BUILD_NUMBER": 7}, "by llama_build itself"),
        ({"CMAKE_CXX_COMPILER": "/tmp/x"}, "by llama_build itself"),
        ({"GGML_CUDA": True}, "another backend than cpu. Use backend: cuda"),
        ({"GGML_SYCL": True}, "another backend than cpu. The backends are"),
        ({"GGML_STATIC": True}, "Use the option cuda_runtime"),
        ({"GGML_BLAS": True}, "Use the option blas"),
        ({"CMAKE_CUDA_ARCHITECTURES": "90"}, "Use the option architectures"),
        ({"GGML_CUDA_FORCE_MMQ": True, "GGML_CUDA_FORCE_CUBLAS": 1}, "exclude each other"),
        ({"GGML_VULKAN": "yes"}, "another backend"),
        ({"LLAMA_CUDA": "1"}, "another backend"),
        ({"ggml_lto": True}, "cannot be a CMake option"),
        ({"GGML_LTO=ON -DX": True}, "cannot be a CMake option"),
        ({"-DX": True}, "cannot be a CMake option"),
        ({"GGML_LTO\n": True}, "cannot be a CMake option"),
        ({3: True}, "cannot be a CMake option"),
        ({"CMAKE_C_FLAGS": "-O2\n-DX"}, "line break"),
        ({"CMAKE_C_FLAGS": "-O2\x00"}, "control character"),
        ({"CMAKE_C_FLAGS": ["-O2"]}, "must be a text"),
        ({"CMAKE_C_FLAGS": None}, "must be a text"),
    ],
)
def test_refused_cmake_options(options, said):
    with pytest.raises(InvalidInput, match=said):
        cmake.options(options, NATIVE, True)


def test_a_backend_that_is_switched_off_is_none():
    assert cmake.options({"GGML_CUDA": False, "GGML_HIP": "0"}, NATIVE, True)["GGML_CUDA"] == "OFF"


def test_a_gpu_build_is_shared_found_beside_itself_and_passes_on_what_is_asked():
    asked = {
        "GGML_CUDA_FORCE_MMQ": True,
        "GGML_CUDA_FA": True,
        "GGML_CUDA_GRAPHS": False,
        "CMAKE_CUDA_FLAGS": "-lineinfo",
    }
    options = cmake.options({**asked, "GGML_CUDA": True}, NATIVE, True, "cuda", CUDA)
    assert (options["GGML_CUDA"], options["CMAKE_CUDA_ARCHITECTURES"]) == ("ON", "86-real;90")
    assert (options["BUILD_SHARED_LIBS"], options["GGML_BACKEND_DL"]) == ("ON", "ON")
    assert options["CMAKE_INSTALL_RPATH"] == "$ORIGIN/../lib"
    assert options["GGML_CUDA_NCCL"] == "OFF"
    assert (options["GGML_CUDA_FORCE_MMQ"], options["GGML_CUDA_GRAPHS"]) == ("ON", "OFF")
    assert cmake.options({"GGML_CUDA_NCCL": True}, NATIVE, True, "cuda", CUDA)["GGML_CUDA_NCCL"] == "ON"
    # upstream decides about MMQ and cuBLAS unless somebody asks
    assert not {"GGML_CUDA_FORCE_MMQ", "GGML_CUDA_FORCE_CUBLAS"} & set(cmake.options({}, NATIVE, True, "cuda", CUDA))
    with pytest.raises(InvalidInput, match="Use backend: hip"):
        cmake.options({"GGML_HIP": True}, NATIVE, True, "cuda", CUDA)


def test_a_portable_build_carries_every_variant():
    options = cmake.options({}, PORTABLE, True)
    assert (options["GGML_CPU_ALL_VARIANTS"], options["GGML_NATIVE"]) == ("ON", "OFF")
    assert (options["BUILD_SHARED_LIBS"], options["GGML_BACKEND_DL"]) == ("ON", "ON")
