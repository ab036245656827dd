# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiler flags that are no part of what was asked: those that make two builds of one recipe equal. Pure.

Paths: `__FILE__` is in every assertion; a compiler cache turns absolute paths into relative ones, so both are mapped.
Names of nvcc's temporary files, which hold process ids, are local symbols and are left out by the linker.
Times: llama.cpp has none in it; SOURCE_DATE_EPOCH answers `__DATE__` all the same. Archives never leave the build.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

EPOCH = "315532800"
"""1980-01-01, for SOURCE_DATE_EPOCH; a date that ZIP can express too."""
IGNORED_BY_CACHE = "-ffile-prefix-map=* -Xcompiler=-ffile-prefix-map=*"
"""For CCACHE_IGNOREOPTIONS: two roots share a cache although their paths differ."""


def neutral(options: Mapping[str, str], work: str, backend: str, more: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """CMake options with the flags of the user's, ours, and further ones.

    :param options: those of the recipe. :param work: the folder that holds `tree` and `build`.
    :param more: CMake variable -> flags to add, of known issues.
    """
    maps = [f"-ffile-prefix-map={work}/=", "-ffile-prefix-map=../="]
    ours: dict[str, list[str]] = {"CMAKE_C_FLAGS": maps, "CMAKE_CXX_FLAGS": maps}
    if backend == "cuda":
        ours["CMAKE_CUDA_FLAGS"] = [f"-Xcompiler={flag}" for flag in maps]
        ours["CMAKE_MODULE_LINKER_FLAGS"] = ["-Wl,--discard-all"]
    if backend == "hip":
        ours["CMAKE_HIP_FLAGS"] = maps
    names = {*ours, *more}
    joined = {name: [options.get(name, ""), *ours.get(name, []), *more.get(name, [])] for name in names}
    return {**options, **{name: " ".join(flag for flag in flags if flag) for name, flags in joined.items()}}
