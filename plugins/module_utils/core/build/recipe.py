# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build is asked to be, and the id that follows from it. Pure.

A recipe is a plain dict (it stands in the manifest as it is): `commit` (40 hex, or `sha256:` and the hash of an
archive), `backend`, `cmake` (all options, resolved), `cpu`, `target`, `compiler` (family and major), `patches`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInput

BUILD_ID = re.compile(r"[0-9a-z.]{1,40}-[0-9a-f]{7}-[a-z0-9]{1,20}-[0-9a-f]{8}")

# what a build of ours always is: static, without a web UI, tests or anything fetched while it is configured
_FIXED = {
    "BUILD_SHARED_LIBS": "OFF",
    "FETCHCONTENT_FULLY_DISCONNECTED": "ON",
    "GGML_BACKEND_DL": "OFF",
    "GGML_CCACHE": "ON",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_SERVER": "ON",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_TOOLS": "ON",
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",
}
# what a user may set otherwise; LLAMA_CURL is for older trees, which fail without libcurl's headers
_DEFAULTS = {"CMAKE_BUILD_TYPE": "Release", "GGML_RPC": "ON", "GGML_RPC_RDMA": "OFF", "LLAMA_CURL": "OFF"}
# what follows from the host or the source and is given to CMake by the compile step
_OURS = {
    "CMAKE_C_COMPILER",
    "CMAKE_CXX_COMPILER",
    "CMAKE_MAKE_PROGRAM",
    "GGML_CPU_ALL_VARIANTS",
    "GGML_NATIVE",
    "LLAMA_BUILD_COMMIT",
    "LLAMA_BUILD_NUMBER",
}
# fmt: off
_OTHER_BACKENDS = {
    "CANN", "CUDA", "ET", "HEXAGON", "HIP", "KOMPUTE", "METAL", "MUSA", "OPENCL", "OPENVINO", "SYCL", "VIRTGPU",
    "VULKAN", "WEBGPU", "ZDNN", "ZENDNN",
}
# fmt: on
_OPTION = re.compile(r"[A-Z][A-Z0-9_]*", re.A)

# switch of ggml/CMakeLists.txt -> flags of /proc/cpuinfo that it needs (ggml/src/ggml-cpu/CMakeLists.txt)
_SWITCHES = {
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


def choose_backend(asked: str, gpus: Collection[str]) -> str:
    """The backend to build; only `cpu` can be built by this version.

    :param gpus: the GPUs seen on the PCI bus, in words.
    :raises InvalidInput: another backend is asked for, or `auto` on a host with a GPU.
    """
    if asked == "cpu" or (asked == "auto" and not gpus):
        return "cpu"
    if asked == "auto":
        raise InvalidInput(
            f"This host has a GPU ({', '.join(gpus)}), and only the backend cpu can be built so far.",
            "Say backend: cpu to leave the GPU unused.",
            gpus=list(gpus),
        )
    raise InvalidInput(f"The backend {asked!r} cannot be built so far.", "What works: backend: cpu.")


def choose_cpu(asked: str, machine: str, flags: Collection[str]) -> Cpu:
    """Resolve `native` (all that this CPU has) or `baseline` (upstream's own default) to switches.

    On x86-64 `native` is spelled out, switch by switch, and GGML_NATIVE is off: the same recipe then gives
    the same code on every host, and no compiler cache can mix up hosts.

    :param machine: as in `uname -m`; `flags`: those of /proc/cpuinfo.
    :raises InvalidInput: `portable`, which this version cannot build.
    """
    if asked == "baseline":
        return Cpu("baseline", {"GGML_NATIVE": "OFF"})
    if asked != "native":
        raise InvalidInput(f"cpu: {asked} cannot be built so far.", "What works: cpu: native, and cpu: baseline.")
    if machine != "x86_64":
        features = [feature for feature in _ARM_FEATURES if feature in flags]
        return Cpu("+".join([machine, *features]), {"GGML_NATIVE": "ON"})
    level, implied = _level(flags)
    has = {switch: set(needs.split()) <= set(flags) for switch, needs in _SWITCHES.items()}
    extras = sorted({needs.split()[-1] for switch, needs in _SWITCHES.items() if has[switch]} - implied)
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


def cmake_options(wanted: Mapping[str, Any], cpu: Cpu, openssl: bool) -> dict[str, str]:
    """All CMake options of a recipe: ours, those of the CPU, and the user's.

    :param wanted: the user's; true and false become ON and OFF.
    :param openssl: OpenSSL's headers are there (LLAMA_OPENSSL, which a user may set otherwise).
    :raises InvalidInput: a key or value that CMake could misread, a key that is ours, or another backend.
    """
    ours = {**_FIXED, **cpu.cmake}
    given = {key: _option(key, value, ours) for key, value in wanted.items()}
    return {**_DEFAULTS, "LLAMA_OPENSSL": "ON" if openssl else "OFF", **ours, **given}


def _option(key: str, value: Any, ours: Mapping[str, str]) -> str:
    if not isinstance(key, str) or not _OPTION.fullmatch(key):
        raise InvalidInput(
            f"{key!r} cannot be a CMake option.", "Use capital letters, digits and underscores: GGML_LTO."
        )
    if not isinstance(value, (str, int, float)):
        raise InvalidInput(f"cmake_options: the value of {key} must be a text, a number, true or false.")
    text = ("ON" if value else "OFF") if isinstance(value, bool) else str(value)
    if not text.isprintable():
        raise InvalidInput(f"cmake_options: the value of {key} has a line break or a control character.")
    if key in _OURS or ours.get(key, text) != text:
        said = f" to {ours[key]}" if key in ours else ""
        raise InvalidInput(
            f"cmake_options: {key} is set{said} by llama_build itself.",
            "Leave it out; cpu: baseline frees the switches of the CPU." if key in _SWITCHES else "Leave it out.",
        )
    if key.startswith(("GGML_", "LLAMA_")) and key.partition("_")[2] in _OTHER_BACKENDS and _is_true(text):
        raise InvalidInput(f"cmake_options: {key} asks for another backend, and only cpu can be built so far.")
    return text


def _is_true(text: str) -> bool:
    """CMake's own idea of a true constant (cmake-commands(7), `if`)."""
    return text.upper() in ("1", "ON", "YES", "TRUE", "Y") or (text.lstrip("-").isdigit() and int(text) != 0)


def compose(
    commit: str, backend: str, cmake: Mapping[str, str], cpu: str, target: str, compiler: str
) -> dict[str, Any]:
    """A recipe."""
    return {
        "backend": backend,
        "cmake": dict(cmake),
        "commit": commit,
        "compiler": compiler,
        "cpu": cpu,
        "patches": [],
        "target": target,
    }


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
    if _is_true(str(cmake.get("GGML_CPU_ALL_VARIANTS", "OFF"))):
        return set()
    if machine != "x86_64":
        return {feature for feature in str(recipe["cpu"]).split("+")[1:] if feature in _ARM_FEATURES}
    usual = {"GGML_SSE42", "GGML_AVX", "GGML_AVX2", "GGML_BMI2", "GGML_FMA", "GGML_F16C"}
    on = [switch for switch in _SWITCHES if _is_true(str(cmake.get(switch, "ON" if switch in usual else "OFF")))]
    return {flag for switch in on for flag in _SWITCHES[switch].split()}
