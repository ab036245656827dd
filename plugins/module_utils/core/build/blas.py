# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""BLAS libraries that a CPU build can use for prompts: which a host has, and which one is taken."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidInput, MissingTool

VENDORS = {"mkl": "Intel10_64lp", "openblas": "OpenBLAS"}
"""What upstream's GGML_BLAS_VENDOR calls them, the preferred one first."""

_FOLDERS = {
    "mkl": ("opt/intel/oneapi/mkl/latest/lib", "opt/intel/oneapi/mkl/latest/lib/intel64", "usr/lib/*-linux-gnu"),
    "openblas": ("usr/lib/*-linux-gnu", "usr/lib64", "usr/lib", "usr/local/lib"),
}
_LIBRARY = {"mkl": "libmkl_rt.so", "openblas": "libopenblas.so"}
_HEADERS = {
    "mkl": ("opt/intel/oneapi/mkl/latest/include/mkl.h", "usr/include/mkl/mkl.h"),
    "openblas": (
        "usr/include/*-linux-gnu/openblas*/cblas.h",
        "usr/include/*-linux-gnu/cblas.h",
        "usr/include/openblas/cblas.h",
        "usr/include/cblas.h",
        "usr/local/include/cblas.h",
    ),
}
_PACKAGES = {
    "mkl": "apt: intel-oneapi-mkl-devel (Intel's repository) or libmkl-dev, dnf and zypper: intel-oneapi-mkl-devel, "
    "pacman: intel-oneapi-mkl",
    "openblas": "apt: libopenblas-dev, dnf: openblas-devel, pacman: openblas, zypper: openblas-devel",
}


@dataclass(frozen=True)
class Blas:
    """The library that is used.

    :param name: mkl, openblas or none; `reason` says why, `found` is the library of each that the host has.
    :param options: for the recipe, `arguments` the paths of this host that CMake needs.
    """

    name: str
    reason: str
    found: Mapping[str, str | None]
    options: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For a result."""
        return {"name": self.name, "reason": self.reason, "found": dict(self.found)}


def choose(asked: str, here: bool, root: str = "/") -> Blas:
    """What is used for `auto` (the first that is installed), `mkl`, `openblas` or `none`.

    :param here: the build is for this host and its CPU; else `auto` takes none, for other hosts may lack the library.
    :raises MissingTool: one that is asked for is not installed. :raises InvalidInput: there is no such one.
    """
    if asked not in ("auto", "none", *VENDORS):
        raise InvalidInput(f"There is no BLAS library {asked!r}.", f"Use one of: auto, {', '.join(VENDORS)}, none.")
    places = {name: _place(name, root) for name in VENDORS}
    found = {name: place[0] if place else None for name, place in places.items()}
    if asked == "none" or (asked == "auto" and not here):
        why = "It was asked for." if asked == "none" else "The build is not only for the CPU of this host."
        return Blas("none", why, found)
    names = list(VENDORS) if asked == "auto" else [asked]
    for name in names:
        place = places[name]
        if place:
            library, header = place
            return Blas(
                name,
                f"{'It was asked for' if asked == name else 'It is installed'}: {library}.",
                found,
                {"GGML_BLAS": "ON", "GGML_BLAS_VENDOR": VENDORS[name]},
                {"BLAS_LIBRARIES": library, "BLAS_INCLUDE_DIRS": os.path.dirname(header)},
            )
    if asked == "auto":
        return Blas("none", "Neither MKL nor OpenBLAS is installed with its headers.", found)
    raise MissingTool(
        f"blas: {asked} was asked for, and {_LIBRARY[asked]} with its headers is not on this host.",
        f"Install it ({_PACKAGES[asked]}), or leave blas out.",
    )


def _place(name: str, root: str) -> tuple[str, str] | None:
    """The library and the header of a vendor, if both are there."""
    library = _first([os.path.join(folder, _LIBRARY[name]) for folder in _FOLDERS[name]], root)
    header = _first(_HEADERS[name], root)
    return (library, header) if library and header else None


def _first(patterns: tuple[str, ...] | list[str], root: str) -> str | None:
    found = [path for pattern in patterns for path in sorted(glob.glob(os.path.join(glob.escape(root), pattern)))]
    return found[0] if found else None
