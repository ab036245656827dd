# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build is asked to be, and the id that follows from it. Pure.

A recipe is a plain dict (it stands in the manifest as it is): `commit` (40 hex, or `sha256:` and the hash of an
archive), `backend`, `cmake` (all options, resolved), `cpu`, `target`, `compiler` (family and major), `patches` (of
known issues, `id@hash`), and, where a backend has them, `cuda`, `cuda_runtime`, `rocm`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInput
from . import knownissues

BUILD_ID = re.compile(r"[0-9a-z.]{1,40}-[0-9a-f]{7}-[a-z0-9]{1,20}-[0-9a-f]{8}")

# switch of ggml/CMakeLists.txt -> flags of /proc/cpuinfo that it needs (ggml/src/ggml-cpu/CMakeLists.txt)
SWITCHES = {
    "GGML_SSE42": "sse4_2",
    "GGML_AVX": "avx",
    "GGML_AVX2": "avx2",
    "GGML_BMI2": "bmi2",
    "GGML_FMA": "fma",
    "GGML_F16C": "f16c",
    "GGML_AVX_VNNI": "avx_vnni",
    "GGML_AVX512": "avx512f avx512bw avx512cd avx512dq avx512vl",
    "GGML_AVX512_VBMI": "avx512f avx512vbmi",
    "GGML_AVX512_VNNI": "avx512f avx512_vnni",
    "GGML_AVX512_BF16": "avx512f avx512_bf16",
    "GGML_AMX_TILE": "amx_tile",
    "GGML_AMX_INT8": "amx_tile amx_int8",
    "GGML_AMX_BF16": "amx_tile amx_bf16",
}
# x86-64 psABI, "Micro-Architecture Levels", in the words of /proc/cpuinfo
_LEVELS = {
    "x86-64-v2": "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3",
    "x86-64-v3": "abm avx avx2 bmi1 bmi2 f16c fma movbe xsave",
    "x86-64-v4": "avx512f avx512bw avx512cd avx512dq avx512vl",
}
_ARM_FEATURES = ("asimddp", "bf16", "fphp", "i8mm", "sme", "sve", "sve2")


@dataclass(frozen=True)
class Cpu:
    """What the CPU part is compiled for: a name for the recipe, and the CMake options that say it."""

    name: str
    cmake: Mapping[str, str]


def choose_cpu(asked: str, machine: str, flags: Collection[str]) -> Cpu:
    """Resolve `native` (all that this CPU has), `baseline` (upstream's own default) or `portable` to switches.

    `portable` compiles the CPU part for every level that upstream knows; the best one is loaded at start.

    On x86-64 `native` is spelled out, switch by switch, and GGML_NATIVE is off: the same recipe then gives
    the same code on every host, and no compiler cache can mix up hosts.

    :param machine: as in `uname -m`; `flags`: those of /proc/cpuinfo.
    """
    if asked == "portable":
        return Cpu("portable", {"GGML_NATIVE": "OFF", "GGML_CPU_ALL_VARIANTS": "ON"})
    if asked == "baseline":
        return Cpu("baseline", {"GGML_NATIVE": "OFF"})
    if machine != "x86_64":
        features = [feature for feature in _ARM_FEATURES if feature in flags]
        return Cpu("+".join([machine, *features]), {"GGML_NATIVE": "ON"})
    level, implied = _level(flags)
    has = {switch: set(needs.split()) <= set(flags) for switch, needs in SWITCHES.items()}
    extras = sorted({needs.split()[-1] for switch, needs in SWITCHES.items() if has[switch]} - implied)
    switches = {switch: "ON" if on else "OFF" for switch, on in has.items()}
    return Cpu("+".join([level, *extras]), {"GGML_NATIVE": "OFF", **switches})


def _level(flags: Collection[str]) -> tuple[str, set[str]]:
    """The highest psABI level, and the flags that it implies."""
    name, implied = "x86-64-v1", set[str]()
    for level, needs in _LEVELS.items():
        if not set(needs.split()) <= set(flags):
            break
        name, implied = level, implied | set(needs.split())
    return name, implied


def compose(
    commit: str, backend: str, cmake: Mapping[str, str], cpu: str, target: str, compiler: str, **more: str
) -> dict[str, Any]:
    """A recipe; `more` is what only some backends have: `cuda` (major.minor), `cuda_runtime`, `rocm`."""
    return {
        "backend": backend,
        "cmake": dict(cmake),
        "commit": commit,
        "compiler": compiler,
        "cpu": cpu,
        "patches": [],
        "target": target,
        **more,
    }


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """True if two recipes ask for the same; which patches were needed is found out only in the source tree."""
    return {**one, "patches": []} == {**other, "patches": []}


def target(machine: str, os_id: str | None, os_version: str | None, libc: str | None) -> str:
    """What the binaries run on, such as `x86_64-debian-12-glibc-2.36`."""
    major = (os_version or "").partition(".")[0]
    return "-".join(part for part in (machine, os_id or "linux", major, (libc or "").replace(" ", "-")) if part)


def digest(recipe: Mapping[str, Any]) -> str:
    """The 8 hex digits that stand for a recipe: the start of the SHA-256 of its canonical JSON."""
    text = json.dumps(recipe, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def commit7(commit: str) -> str:
    """The short form of a commit; of an archive `a` and 6 hex digits of its hash."""
    return "a" + commit[len("sha256:") :][:6] if commit.startswith("sha256:") else commit[:7]


def build_id(version: str, recipe: Mapping[str, Any]) -> str:
    """`<version>-<commit7>-<backend>-<8 hex of the recipe>`."""
    return f"{version}-{commit7(recipe['commit'])}-{recipe['backend']}-{digest(recipe)}"


def endings(recipe: Mapping[str, Any]) -> tuple[str, ...]:
    """How the id of a build of this recipe may end, whatever patches the source tree turns out to need.

    What comes before is llama.cpp's version, which often only the tree tells too.
    """
    possible = [{**recipe, "patches": list(labels)} for labels in knownissues.possible(recipe.get("cuda"))]
    return tuple(f"-{commit7(one['commit'])}-{one['backend']}-{digest(one)}" for one in possible)


def check_build_id(text: str) -> str:
    """Return a build id given by a user.

    :raises InvalidInput: it cannot be one (it is used as the name of a folder).
    """
    if not BUILD_ID.fullmatch(text) or ".." in text or text.startswith("."):
        raise InvalidInput(f"{text!r} is no build id.", "A build id looks like 0.5.0-a832db0-cpu-0a1b2c3d.")
    return text


def needed_flags(recipe: Mapping[str, Any]) -> set[str]:
    """The CPU flags, in the words of /proc/cpuinfo, without which a build of this recipe dies at once.

    A build of all variants needs none. Upstream's default for x86-64 (`baseline`) has the switches of
    ggml/CMakeLists.txt that are on when GGML_NATIVE is off.
    """
    cmake, machine = recipe["cmake"], str(recipe["target"]).partition("-")[0]
    if is_true(str(cmake.get("GGML_CPU_ALL_VARIANTS", "OFF"))):
        return set()
    if machine != "x86_64":
        return {feature for feature in str(recipe["cpu"]).split("+")[1:] if feature in _ARM_FEATURES}
    usual = {"GGML_SSE42", "GGML_AVX", "GGML_AVX2", "GGML_BMI2", "GGML_FMA", "GGML_F16C"}
    on = [switch for switch in SWITCHES if is_true(str(cmake.get(switch, "ON" if switch in usual else "OFF")))]
    return {flag for switch in on for flag in SWITCHES[switch].split()}


def is_true(text: str) -> bool:
    """CMake's own idea of a true constant (cmake-commands(7), `if`)."""
    return text.upper() in ("1", "ON", "YES", "TRUE", "Y") or (text.lstrip("-").isdigit() and int(text) != 0)
