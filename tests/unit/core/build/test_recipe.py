# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import recipe
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput

V2 = {"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"}
V3 = V2 | {"abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"}
AVX512 = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
ZEN3 = V3 | {"fpu", "sse", "sse2", "aes", "vaes"}
SAPPHIRE = ZEN3 | AVX512 | {"avx512vbmi", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}
COMMIT = "0c1e57098a7c2b1f4d3e5a6978b0c1d2e3f4a5b6"


@pytest.mark.parametrize(
    ("flags", "name", "on"),
    [
        ({"sse", "sse2"}, "x86-64-v1", set()),
        (V2, "x86-64-v2", {"GGML_SSE42"}),
        (V2 | {"avx", "f16c"}, "x86-64-v2+avx+f16c", {"GGML_SSE42", "GGML_AVX", "GGML_F16C"}),
        (ZEN3, "x86-64-v3", {"GGML_SSE42", "GGML_AVX", "GGML_AVX2", "GGML_BMI2", "GGML_FMA", "GGML_F16C"}),
        (
            SAPPHIRE,
            "x86-64-v4+amx_bf16+amx_int8+amx_tile+avx512_bf16+avx512_vnni+avx512vbmi+avx_vnni",
            set(recipe.SWITCHES),
        ),
        # a host that hides a part of AVX-512 gets none of it
        (SAPPHIRE - {"avx512vl", "amx_tile"}, None, None),
    ],
)
def test_native_is_spelled_out(flags, name, on):
    cpu = recipe.choose_cpu("native", "x86_64", flags)
    assert cpu.cmake["GGML_NATIVE"] == "OFF"
    assert "native" not in cpu.name
    if name is None:
        assert cpu.cmake["GGML_AVX512"] == "OFF"
        assert cpu.name.startswith("x86-64-v3")
    else:
        assert cpu.name == name
        assert {switch for switch, value in cpu.cmake.items() if value == "ON"} == on


def test_other_machines_and_the_baseline():
    arm = recipe.choose_cpu("native", "aarch64", ["fp", "asimd", "i8mm", "asimddp", "sve"])
    assert (arm.name, dict(arm.cmake)) == ("aarch64+asimddp+i8mm+sve", {"GGML_NATIVE": "ON"})
    baseline = recipe.choose_cpu("baseline", "x86_64", SAPPHIRE)
    assert (baseline.name, dict(baseline.cmake)) == ("baseline", {"GGML_NATIVE": "OFF"})
    portable = recipe.choose_cpu("portable", "x86_64", SAPPHIRE)
    assert (portable.name, portable.cmake["GGML_CPU_ALL_VARIANTS"]) == ("portable", "ON")


def composed(**changes):
    given = {
        "commit": COMMIT,
        "backend": "cpu",
        "cmake": {"A": "1", "B": "2"},
        "cpu": "x86-64-v3",
        "target": "x86_64-debian-12-glibc-2.36",
        "compiler": "gnu-12",
    }
    return recipe.compose(**{**given, **changes})


def test_equal_recipes_have_equal_ids_whatever_the_order():
    assert recipe.digest(composed()) == recipe.digest(composed(cmake={"B": "2", "A": "1"}))
    build_id = recipe.build_id("0.5.0", composed())
    assert build_id.startswith("0.5.0-0c1e570-cpu-")
    assert recipe.check_build_id(build_id) == build_id
    # the id of a recipe must never change: builds out there carry it
    assert build_id == "0.5.0-0c1e570-cpu-d8ff8b26"


@pytest.mark.parametrize(
    "change",
    [
        {"commit": "1" * 40},
        {"cmake": {"A": "1", "B": "3"}},
        {"cpu": "baseline"},
        {"target": "x86_64-debian-13-glibc-2.41"},
        {"compiler": "gnu-14"},
    ],
)
def test_whatever_is_asked_otherwise_is_another_build(change):
    assert recipe.digest(composed(**change)) != recipe.digest(composed())


def test_further_keys_make_another_build_and_patches_do_not_ask_for_one():
    assert recipe.digest(composed(cuda="13.0")) != recipe.digest(composed(cuda="13.1"))
    patched = {**composed(), "patches": ["x@0123"]}
    assert recipe.digest(patched) != recipe.digest(composed())
    assert recipe.same(patched, composed())
    assert not recipe.same(patched, composed(cpu="baseline"))


def test_an_archive_is_named_by_its_hash():
    archive = composed(commit="sha256:" + "832db0699007f1be" + "0" * 48)
    assert recipe.commit7(archive["commit"]) == "a832db0"
    assert recipe.build_id("0.5.0", archive).startswith("0.5.0-a832db0-cpu-")


@pytest.mark.parametrize(
    ("parts", "target"),
    [
        (("x86_64", "debian", "12", "glibc 2.36"), "x86_64-debian-12-glibc-2.36"),
        (("aarch64", "ubuntu", "24.04", "glibc 2.39"), "aarch64-ubuntu-24-glibc-2.39"),
        (("x86_64", None, None, "musl"), "x86_64-linux-musl"),
        (("x86_64", "arch", None, None), "x86_64-arch"),
    ],
)
def test_target(parts, target):
    assert recipe.target(*parts) == target


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "../../etc",
        "0.5.0-a832db0-cpu-8bc7604",
        "0.5.0-a832db0-cpu-8bc76048/..",
        "a\n",
        "..-a832db0-cpu-8bc76048",
    ],
)
def test_what_cannot_be_a_build_id_never_becomes_a_path(text):
    with pytest.raises(InvalidInput, match="no build id"):
        recipe.check_build_id(text)
