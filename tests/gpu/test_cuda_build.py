# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CUDA builds with a real toolkit; see README.md."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from building_runs import run_build
from fixtures.upstream import Upstream


def checked(result):
    """The properties of every CUDA build, whatever it was made of."""
    assert result["compiled"], result
    manifest, folder = result["manifest"], Path(result["path"])
    assert {"lib/libcublas.so.13", "lib/libcudart.so.13"} <= set(manifest["bundled"]) or "12" in manifest["recipe"][
        "cuda"
    ]
    assert "Cuda compilation tools" in manifest["tools"]["nvcc"]
    said = subprocess.run(["readelf", "-d", folder / "bin/libggml-cuda.so"], capture_output=True, text=True, check=True)
    assert "libcudart.so" in said.stdout and "$ORIGIN/../lib" in said.stdout
    print(f"\n{result['build_id']}: {manifest['compile']}, smoke test {manifest['smoke']}")
    return manifest


def activated(root: Path, tmp_path: Path, result):
    """The build becomes active where it finds a GPU, and is refused where it does not."""
    tried = run_build(tmp_path, root=str(root), active=result["build_id"])
    if result["manifest"]["smoke"]["devices"]:
        assert tried["active"] == result["build_id"], tried
        assert result["manifest"]["smoke"]["on_device"]["answer"]
    else:
        assert tried["failed"] and "finds no CUDA device" in tried["msg"]
    print(tried.get("msg") or f"active: {tried['active']}")


def test_a_small_tree_with_one_real_kernel(tmp_path, cuda_home, architecture):
    upstream = Upstream(tmp_path / "upstream")
    upstream.commit("no device")
    common = {"source": upstream.source(), "backend": "cuda", "cuda_home": cuda_home, "architectures": [architecture]}
    made = [
        run_build(tmp_path, root=str(tmp_path / name), activate=False, env=env, **common)
        for name, env in (("one", {}), ("another", {"CCACHE_DISABLE": "1"}))
    ]
    hashes = [{name: facts["sha256"] for name, facts in checked(one)["files"].items()} for one in made]
    assert {name for name in hashes[0] if hashes[0][name] != hashes[1][name]} <= {"capabilities.json"}
    activated(tmp_path / "one", tmp_path, made[0])


@pytest.mark.skipif("LLAMAOPS_TEST_CUDA_FULL" not in os.environ, reason="takes half an hour; see README.md")
def test_all_of_llama_cpp(tmp_path, kept_root, cuda_home, architecture):
    archive = os.environ.get("LLAMAOPS_TEST_CUDA_SOURCE")
    result = run_build(
        tmp_path,
        root=str(kept_root),
        source={"type": "archive", "path": archive} if archive else {"type": "sdist"},
        backend="cuda",
        cpu="baseline",
        cuda_home=cuda_home,
        architectures=[architecture],
        activate=False,
        force=True,
    )
    checked(result)
    server = Path(result["path"]) / "bin" / "llama-server"
    said = subprocess.run([server, "--list-devices"], capture_output=True, text=True, check=True)
    print(said.stdout, said.stderr)
    activated(kept_root, tmp_path, result)
