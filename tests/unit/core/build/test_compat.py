# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which builds of other hosts may run here."""

from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import compat, recipe
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput

V3 = frozenset(["sse4_2", "avx", "avx2", "bmi2", "fma", "f16c", "ssse3"])
HOST = compat.Host("x86_64", "glibc", "2.36", V3)


def made(target="x86_64-debian-12-glibc-2.36", cpu="baseline", **cmake):
    return {"target": target, "cpu": cpu, "cmake": {"GGML_NATIVE": "OFF", **cmake}}


@pytest.mark.parametrize(
    ("build", "host"),
    [
        (made(), HOST),
        (made("x86_64-debian-11-glibc-2.31"), HOST),  # an older C library is a floor
        (made(), compat.Host("x86_64", "glibc", "2.41", V3)),
        (made("x86_64-debian-12-glibc-2.9"), HOST),  # by number, not by text
        (made("x86_64-alpine-3-musl-1.2.5"), compat.Host("x86_64", "musl", "1.2.5", V3)),
        (made(cpu="portable", GGML_CPU_ALL_VARIANTS="ON"), compat.Host("x86_64", "glibc", "2.36", frozenset())),
        (made(GGML_AVX2="OFF", GGML_FMA="OFF"), compat.Host("x86_64", "glibc", "2.36", V3 - {"avx2", "fma"})),
        (
            made("aarch64-debian-12-glibc-2.36", "aarch64+asimddp"),
            compat.Host("aarch64", "glibc", "2.36", frozenset({"asimddp", "asimd"})),
        ),
    ],
)
def test_what_suits(build, host):
    compat.check(build, host)


@pytest.mark.parametrize(
    ("build", "host", "said"),
    [
        (made("aarch64-debian-12-glibc-2.36"), HOST, "for aarch64 and this host is x86_64"),
        (made("x86_64-debian-13-glibc-2.41"), HOST, "made for glibc 2.41 .* this host has glibc 2.36"),
        (made("x86_64-alpine-3-musl-1.2.5"), HOST, "made for musl 1.2.5 .* this host has glibc 2.36"),
        (made(), compat.Host("x86_64", "", "", V3), "this host has another C library"),
        (made(), compat.Host("x86_64", "glibc", "2.36", V3 - {"avx2"}), "CPUs with avx2, which this CPU lacks"),
        (made(GGML_AVX512="ON"), HOST, "avx512bw, avx512cd, avx512dq, avx512f, avx512vl"),
        (made("aarch64-debian-12-glibc-2.36", "aarch64+i8mm"), compat.Host("aarch64", "glibc", "2.36", V3), "i8mm"),
    ],
)
def test_what_does_not_suit(build, host, said):
    with pytest.raises(InvalidInput, match=said):
        compat.check(build, host)


def test_what_native_asks_for_is_what_the_cpu_had():
    flags = V3 | {"avx_vnni"}
    cpu = recipe.choose_cpu("native", "x86_64", flags)
    build = made(cpu=cpu.name, **cpu.cmake)
    assert recipe.needed_flags(build) <= flags
    with pytest.raises(InvalidInput, match="avx_vnni"):
        compat.check(build, HOST)


def test_this_host_has_a_name():
    found = compat.here()
    assert found.machine and found.libc
