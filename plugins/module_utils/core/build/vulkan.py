# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it takes to build for Vulkan, by ggml/src/ggml-vulkan/CMakeLists.txt. Read from files; nothing is run."""

from __future__ import annotations

import glob
import os
import shutil

from ..files import read_text

# of VK_EXT_layer_settings, the newest of what ggml-vulkan.cpp uses without asking; Debian 12 has headers of 1.3.239
_NEWEST_USED, _SINCE = "VkLayerSettingEXT", "1.3.272"
_HEADERS = ("usr/include", "usr/local/include")
_CONFIGS = ("usr/share/cmake", "usr/lib/cmake", "usr/lib64/cmake", "usr/lib/*-linux-gnu/cmake", "usr/local/share/cmake")
_LIBRARIES = ("usr/lib/*-linux-gnu", "usr/lib64", "usr/lib", "usr/local/lib")


def missing(path: str, root: str = "/") -> list[str]:
    """What is not there of: the shader compiler, headers, the loader to link with, SPIR-V headers.

    :param path: the PATH that CMake searches.
    """
    core = _all(_HEADERS, "vulkan/vulkan_core.h", root)
    needs = {
        "glslc": shutil.which("glslc", path=path),
        "vulkan/vulkan_core.h": core,
        f"{_NEWEST_USED} in it (Vulkan headers {_SINCE} or newer)": not core
        or any(_NEWEST_USED in (read_text(file) or "") for file in core),
        "libvulkan.so": _any(_LIBRARIES, "libvulkan.so", root),
        "SPIRV-Headers": _any(_CONFIGS, "SPIRV-Headers/SPIRV-HeadersConfig.cmake", root),
    }
    return [name for name, found in needs.items() if not found]


def _any(folders: tuple[str, ...], name: str, root: str) -> bool:
    return bool(_all(folders, name, root))


def _all(folders: tuple[str, ...], name: str, root: str) -> list[str]:
    return [path for folder in folders for path in glob.glob(os.path.join(glob.escape(root), folder, name))]
