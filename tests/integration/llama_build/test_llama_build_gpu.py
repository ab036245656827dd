# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GPU builds from end to end: a made-up toolkit, a stand-in for NVIDIA's driver library, and a tree that builds in a
moment. tests/gpu does the same with a real toolkit.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_runs import REPOSITORY
from fixtures import toolkits
from fixtures.upstream import active, names


@pytest.fixture(scope="session")
def driver(tmp_path_factory) -> dict[str, str]:
    """The environment of a host with NVIDIA's driver (CUDA 13.1) and GPUs of compute capability 9.0 and 8.0."""
    folder = tmp_path_factory.mktemp("driver")
    source = REPOSITORY / "tests" / "fixtures" / "nvml.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "libnvidia-ml.so.1", source], check=True)
    return {"LD_LIBRARY_PATH": str(folder)}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    found = toolkits.cuda(tmp_path / "cuda-13.0")
    toolkits.libraries(found)
    return found


def test_auto_builds_for_the_gpus_of_the_host_and_proves_it_on_one(upstream, root, build, driver, home):
    upstream.commit("gpu", tag="v1.0.0")
    common = {"source": upstream.source("latest"), "backend": "auto", "cuda_home": str(home)}
    result = build(**common, env=driver)
    assert not result["failed"], result
    assert result["backend"] == {"name": "cuda", "reason": result["backend"]["reason"]}
    assert "2 GPUs (Fake H200, " in result["backend"]["reason"]
    assert all(row["ok"] for row in result["preflight"])
    recipe = result["manifest"]["recipe"]
    assert (recipe["backend"], recipe["cuda"], recipe["cuda_runtime"]) == ("cuda", "13.0", "bundle")
    assert recipe["cmake"]["CMAKE_CUDA_ARCHITECTURES"] == "80-real;90"
    assert result["manifest"]["bundled"] == ["lib/libcublas.so.13", "lib/libcublasLt.so.13"]
    assert "V13.0.88" in result["manifest"]["tools"]["nvcc"]
    assert result["manifest"]["smoke"]["devices"] == ["CUDA0"]
    assert result["manifest"]["smoke"]["on_device"]["answer"].startswith("Hello from llama.cpp")
    assert {entry["state"] for entry in result["manifest"]["issues"]} <= {"expired", "not affected"}
    assert active(root) == result["build_id"]
    assert "-cuda-" in result["build_id"]
    folder = Path(result["path"])
    assert names(folder / "bin") == ["libggml-cuda.so", "llama-bench", "llama-server"]
    assert names(folder / "lib") == ["libcublas.so.13", "libcublasLt.so.13"]
    assert names(root / "bin") == ["llama-bench", "llama-server"]
    assert not build(**common, env=driver)["changed"]

    lost = build(**common, check=True)  # the driver is gone: nothing turns this host into one for the CPU
    assert lost["failed"] and "active build is one for cuda" in lost["msg"]
    assert build(**common, gpus=3, env=driver)["msg"].startswith("This host shows 2 of 3 expected GPUs")
    silent = build(**common, gpus=1, env={**driver, "FAKE_NVML_INIT": "9"})
    assert silent["failed"]
    assert active(root) == result["build_id"]


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [("gpu that computes on the cpu", "put no part of the model on CUDA0"), ("no device", "no CUDA-capable device")],
)
def test_a_gpu_build_that_would_serve_from_the_cpu_never_becomes_active(
    upstream, root, build, driver, home, behaviour, said
):
    upstream.commit(behaviour)
    result = build(source=upstream.source(), backend="cuda", cuda_home=str(home), env=driver)
    assert result["failed"]
    assert said in result["msg"]
    assert active(root) is None


def test_a_builder_without_a_gpu_builds_for_others_only(upstream, root, build, home):
    upstream.commit("no device")
    common = {"source": upstream.source(), "backend": "cuda", "cuda_home": str(home), "architectures": ["89", "90"]}
    refused = build(**common)
    assert refused["failed"] and "a working GPU" in refused["msg"] and "activate: false" in refused["msg"]
    assert not (root / "builds").exists()  # before anything was changed
    made = build(**common, activate=False)
    assert made["compiled"], made
    assert (made["manifest"]["smoke"]["devices"], active(root)) == ([], None)
    wrong = build(active=made["build_id"])
    assert wrong["failed"]
    assert "finds no CUDA device" in wrong["msg"] and "no CUDA-capable device is detected" in wrong["msg"]
    assert active(root) is None


def test_the_preflight_names_what_does_not_go_together_before_anything_is_changed(
    upstream, root, build, driver, tmp_path
):
    upstream.commit("gpu")
    bare = toolkits.cuda(tmp_path / "bare", "14.0", gcc=8, without=("libcublas.so",))
    result = build(source=upstream.source(), backend="cuda", cuda_home=str(bare), env=driver)
    assert result["failed"]
    assert "CUDA 13.x or older" in result["msg"] and "Update the driver" in result["msg"]
    old = toolkits.cuda(tmp_path / "old", "12.4", gcc=8, without=("libcublas.so",))
    result = build(source=upstream.source(), backend="cuda", cuda_home=str(old), env=driver)
    failed = {row["name"]: row for row in result["preflight"]}
    assert set(failed) == {"CUDA parts", "CUDA compiler"}
    assert "GCC 8" in failed["CUDA compiler"]["remedy"]
    assert not (root / "builds").exists()


def test_hip_is_configured_for_its_targets(upstream, root, build, tmp_path):
    """No ROCm is at hand to compile with: the tree only says what it was given."""
    upstream.commit("no device")
    home = toolkits.rocm(tmp_path / "rocm-6.2.0")
    common = {"source": upstream.source(), "backend": "hip", "rocm_home": str(home)}
    made = build(**common, architectures=["gfx1100", "gfx90a"], activate=False)
    assert made["compiled"], made
    assert (made["manifest"]["recipe"]["rocm"], made["manifest"]["smoke"]["devices"]) == ("6.2", [])
    said = (root / "work" / "build.log").read_text()
    assert f"HIP: {home} {home}/llvm/bin/clang++ gfx1100;gfx90a -ffile-prefix-map=" in said
    assert "AMD clang" in made["manifest"]["tools"]["hip"]
    assert "architectures: [gfx1100]" in build(**common, activate=False)["msg"]


def test_two_builds_of_one_recipe_are_equal_byte_for_byte(upstream, tmp_path, home):
    """In two roots, so that no path may be left in; the second one without a compiler cache."""
    from building_runs import run_build

    upstream.commit("gpu")
    args = {"source": upstream.source(), "backend": "cuda", "cuda_home": str(home), "architectures": ["90"]}
    made = [
        run_build(tmp_path, root=str(tmp_path / name), activate=False, env=env, **args)
        for name, env in (("one", {}), ("another", {"CCACHE_DISABLE": "1"}))
    ]
    assert made[0]["build_id"] == made[1]["build_id"], made
    programs = [
        {k: v["sha256"] for k, v in one["manifest"]["files"].items() if k != "capabilities.json"} for one in made
    ]
    assert programs[0] == programs[1]
    assert made[0]["manifest"]["compile"]["peak_memory"] > 1 << 20
    assert made[0]["manifest"]["compile"]["cpu_seconds"] > 0
