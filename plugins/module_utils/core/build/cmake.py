# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CMake options of a recipe: what a build of ours always is, what the backend adds, what a user wants. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import InvalidInput
from .backend import GPU
from .recipe import SWITCHES, Cpu, is_true

# what a build of ours always is: without a web UI, tests or anything fetched while it is configured
_FIXED = {
    "FETCHCONTENT_FULLY_DISCONNECTED": "ON",
    "GGML_CCACHE": "ON",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_SERVER": "ON",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_TOOLS": "ON",
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",
}
_STATIC = {"BUILD_SHARED_LIBS": "OFF", "GGML_BACKEND_DL": "OFF"}
# backends are loaded at start, so that a program starts (and says so) where a driver is missing, and kernels are
# there once and not in each program; libraries are found beside the programs wherever the folder goes
_MODULAR = {
    "BUILD_SHARED_LIBS": "ON",
    "GGML_BACKEND_DL": "ON",
    "CMAKE_BUILD_WITH_INSTALL_RPATH": "ON",
    "CMAKE_INSTALL_RPATH": "$ORIGIN/../lib",
}
# what a user may set otherwise; LLAMA_CURL is for older trees, which fail without libcurl's headers
_DEFAULTS = {"CMAKE_BUILD_TYPE": "Release", "GGML_RPC": "ON", "GGML_RPC_RDMA": "OFF", "LLAMA_CURL": "OFF"}
_BACKEND_DEFAULTS: dict[str, dict[str, str]] = {"cuda": {"GGML_CUDA_NCCL": "OFF"}, "hip": {"GGML_HIP_RCCL": "OFF"}}
_EXCLUSIVE = ("GGML_CUDA_FORCE_MMQ", "GGML_CUDA_FORCE_CUBLAS")
# what follows from the host, the source or another option -> what to use instead
_OURS = {
    "BLAS_INCLUDE_DIRS": "blas",
    "BLAS_LIBRARIES": "blas",
    "CMAKE_CUDA_ARCHITECTURES": "architectures",
    "CMAKE_CUDA_COMPILER": "cuda_home",
    "CMAKE_C_COMPILER": "",
    "CMAKE_CXX_COMPILER": "",
    "CMAKE_HIP_ARCHITECTURES": "architectures",
    "CMAKE_HIP_COMPILER": "rocm_home",
    "CMAKE_MAKE_PROGRAM": "",
    "GGML_BLAS": "blas",
    "GGML_BLAS_VENDOR": "blas",
    "GGML_CPU_ALL_VARIANTS": "cpu",
    "GGML_NATIVE": "cpu",
    "GGML_STATIC": "cuda_runtime",
    "GPU_TARGETS": "architectures",
    "LLAMA_BUILD_COMMIT": "",
    "LLAMA_BUILD_NUMBER": "",
}
# fmt: off
_OTHER_BACKENDS = {
    "CANN", "CUDA", "ET", "HEXAGON", "HIP", "KOMPUTE", "METAL", "MUSA", "OPENCL", "OPENVINO", "SYCL", "VIRTGPU",
    "VULKAN", "WEBGPU", "ZDNN", "ZENDNN",
}
# fmt: on
_OPTION = re.compile(r"[A-Z][A-Z0-9_]*", re.A)


def options(
    wanted: Mapping[str, Any], cpu: Cpu, openssl: bool, backend: str = "cpu", more: Mapping[str, str] | None = None
) -> dict[str, str]:
    """All CMake options of a recipe: ours, those of the CPU and the backend, and the user's.

    :param wanted: the user's; true and false become ON and OFF.
    :param openssl: OpenSSL's headers are there (LLAMA_OPENSSL, which a user may set otherwise).
    :param more: what follows from the backend or the BLAS library; it is ours too.
    :raises InvalidInput: a key or value that CMake could misread, a key that is ours, another backend, or two
        options that exclude each other.
    """
    layout = _MODULAR if backend in GPU or "GGML_CPU_ALL_VARIANTS" in cpu.cmake else _STATIC
    ours = {**_FIXED, **layout, **cpu.cmake, **(more or {})}
    given = {key: _option(key, value, ours, backend) for key, value in wanted.items()}
    if all(is_true(given.get(key, "")) for key in _EXCLUSIVE):
        raise InvalidInput(f"cmake_options: {' and '.join(_EXCLUSIVE)} exclude each other.", "Keep one of them.")
    defaults = {**_DEFAULTS, **_BACKEND_DEFAULTS.get(backend, {})}
    return {**defaults, "LLAMA_OPENSSL": "ON" if openssl else "OFF", **ours, **given}


def _option(key: str, value: Any, ours: Mapping[str, str], backend: str) -> str:
    if not isinstance(key, str) or not _OPTION.fullmatch(key):
        raise InvalidInput(
            f"{key!r} cannot be a CMake option.", "Use capital letters, digits and underscores: GGML_LTO."
        )
    if not isinstance(value, (str, int, float)):
        raise InvalidInput(f"cmake_options: the value of {key} must be a text, a number, true or false.")
    text = ("ON" if value else "OFF") if isinstance(value, bool) else str(value)
    if not text.isprintable():
        raise InvalidInput(f"cmake_options: the value of {key} has a line break or a control character.")
    name = key.partition("_")[2]
    if key.startswith(("GGML_", "LLAMA_")) and name in _OTHER_BACKENDS and name.lower() != backend and is_true(text):
        raise InvalidInput(
            f"cmake_options: {key} asks for another backend than {backend}.",
            f"Use backend: {name.lower()}." if name.lower() in GPU else "The backends are cpu, cuda, hip and vulkan.",
        )
    if key in _OURS or ours.get(key, text) != text:
        said = f" to {ours[key]}" if key in ours else ""
        raise InvalidInput(f"cmake_options: {key} is set{said} by llama_build itself.", _instead(key))
    return text


def _instead(key: str) -> str:
    if key in SWITCHES:
        return "Leave it out; cpu: baseline frees the switches of the CPU."
    return f"Use the option {_OURS[key]} instead." if _OURS.get(key) else "Leave it out."
