# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ROCm installations and the GPUs they are for. Read from files; nothing is run."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import InvalidInput
from ..files import read_text

NEEDED = (6, 1)
"""From ggml/src/ggml-hip/CMakeLists.txt."""

_PLACES = ("opt/rocm", "opt/rocm-*", "usr")
_TARGET = re.compile(r"gfx[0-9a-f]{3,4}(?::[a-z]+[+-])*", re.A)
_PACKAGES = ("hip", "hipblas", "rocblas")


@dataclass(frozen=True)
class Rocm:
    """An installation: its folder and its version; (0, 0) where it does not tell it."""

    home: str
    version: tuple[int, int]

    def __str__(self) -> str:
        return f"ROCm {self.name} in {self.home}"

    @property
    def name(self) -> str:
        return f"{self.version[0]}.{self.version[1]}" if self.version != (0, 0) else "of unknown version"

    def compiler(self) -> str | None:
        """Its clang++."""
        names = ("llvm/bin/clang++", "lib/llvm/bin/clang++", "bin/amdclang++", "bin/hipcc")
        paths = [os.path.join(self.home, name) for name in names]
        return next((path for path in paths if os.path.exists(path)), None)

    def missing(self) -> list[str]:
        """The parts that llama.cpp needs and this installation lacks."""
        lacking = [name for name in _PACKAGES if not self._config(name)]
        return lacking if self.compiler() else [*lacking, "clang++"]

    def _config(self, name: str) -> list[str]:
        folder = glob.escape(self.home)
        patterns = ("lib/cmake", "lib64/cmake", "lib/*-linux-gnu/cmake")
        return [path for pattern in patterns for path in glob.glob(f"{folder}/{pattern}/{name}/{name}-config.cmake")]


def find(home: str | None, environment: Mapping[str, str], root: str = "/") -> Rocm | None:
    """The newest installation; with `home` that one.

    :raises InvalidInput: `home` is none.
    """
    places = [home] if home else [environment[name] for name in ("ROCM_PATH",) if environment.get(name)]
    if not home:
        places += [path for place in _PLACES for path in glob.glob(os.path.join(glob.escape(root), place))]
    found = [rocm for place in places if place and (rocm := _read(place))]
    if home and not found:
        raise InvalidInput(f"rocm_home: {home} is no ROCm installation.", "It must hold the CMake package hip.")
    return max(found, key=lambda rocm: rocm.version, default=None)


def check_architectures(given: Sequence[str]) -> list[str]:
    """Targets such as `gfx1100` or `gfx90a:xnack-`, sorted, each once.

    :raises InvalidInput: one cannot be one.
    """
    for text in given:
        if not _TARGET.fullmatch(text):
            raise InvalidInput(
                f"architectures: {text!r} is no GPU target of ROCm.", "Write it like gfx1100, as rocminfo shows it."
            )
    return sorted(set(given))


def _read(home: str) -> Rocm | None:
    found = re.match(r"(\d{1,3})\.(\d{1,3})", read_text(os.path.join(home, ".info", "version")) or "")
    rocm = Rocm(os.path.normpath(home), (int(found.group(1)), int(found.group(2))) if found else (0, 0))
    return rocm if found or "hip" not in rocm.missing() else None
