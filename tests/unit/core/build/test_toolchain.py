# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import toolchain
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree

CMAKE = '#!/bin/sh\necho "cmake version {}"\n'
GCC = """#!/bin/sh
case $1 in
  --version) echo "c++ (Debian 12.2.0-14) 12.2.0" ;;
  -dumpversion) echo 12 ;;
esac
"""
CLANG = """#!/bin/sh
case $1 in
  --version) echo "Debian clang version 14.0.6" ;;
  -dumpversion) echo 14.0.6 ;;
esac
"""
EMPTY = "#!/bin/sh\n"


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Make a PATH that holds these programs only, and a runtime root."""

    def make(**texts):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        for name, text in texts.items():
            path = folder / name.replace("_", "+")
            path.write_text(text)
            path.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        return Tree(str(tmp_path / "root"), "user")

    return make


def test_an_empty_host_has_nothing(programs):
    tools = toolchain.find(programs(), root="/nonexistent")
    assert (dict(tools.programs), tools.compiler, tools.openssl) == ({}, None, False)


@pytest.mark.parametrize(("text", "compiler"), [(GCC, "gnu-12"), (CLANG, "clang-14")])
def test_compiler_family_and_major(programs, text, compiler):
    assert toolchain.find(programs(c__=text)).compiler == compiler


def test_the_managed_environment_is_searched_after_the_path(programs, tmp_path):
    tree = programs(cmake=CMAKE.format("3.25.1"))
    venv = tmp_path / "root" / "venv" / "bin"
    venv.mkdir(parents=True)
    for name in ("cmake", "ninja"):
        (venv / name).write_text(EMPTY)
        (venv / name).chmod(0o755)
    found = toolchain.find(tree).programs
    assert found["cmake"] == str(tmp_path / "bin" / "cmake")
    assert found["ninja"] == str(venv / "ninja")


def test_openssl_is_seen_by_its_headers(programs, plant):
    tree = programs()
    assert toolchain.find(tree, root=plant({"usr/include/openssl/ssl.h": ""})).openssl


def host_with(gib: int, cpus: int) -> dict[str, str]:
    return {
        "proc/meminfo": f"MemTotal: 1 kB\nMemAvailable: {gib << 20} kB\n",
        "sys/devices/system/cpu/online": f"0-{cpus - 1}\n",
        "proc/self/status": f"Cpus_allowed_list:\t0-{cpus - 1}\n",
    }


@pytest.mark.parametrize(
    ("gib", "cpus", "backend", "jobs"),
    [
        (64, 16, "cpu", 16),
        (6, 16, "cpu", 6),
        (6, 16, "vulkan", 5),
        (2, 16, "vulkan", 1),
        (64, 1, "cuda", 1),
        (0, 16, "cpu", 1),
    ],
)
def test_jobs_follow_cpus_and_memory(plant, gib, cpus, backend, jobs):
    root = plant(host_with(gib, cpus))
    assert toolchain.jobs(None, backend, root) == jobs
    assert toolchain.jobs(3, backend, root) == 3


def test_jobs_follow_the_control_group(plant):
    root = plant(
        {
            **host_with(64, 16),
            "proc/self/cgroup": "0::/box\n",
            "proc/self/mountinfo": "1 1 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
            "sys/fs/cgroup/box/memory.max": f"{4 << 30}\n",
            "sys/fs/cgroup/box/memory.current": f"{1 << 30}\n",
            "sys/fs/cgroup/box/memory.stat": "inactive_file 0\n",
            "sys/fs/cgroup/box/cpu.max": "800000 100000\n",
        }
    )
    assert toolchain.jobs(None, "cpu", root) == 3


def test_versions_are_first_lines(programs):
    tree = programs(cmake=CMAKE.format("3.25.1"), c__=GCC)
    assert toolchain.versions(toolchain.find(tree)) == {
        "cmake": "cmake version 3.25.1",
        "c++": "c++ (Debian 12.2.0-14) 12.2.0",
    }


def test_the_system_scope_trusts_the_path_of_the_system_only(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert str(tmp_path / "x") not in toolchain.find(Tree("/opt/nowhere", "system")).path
    assert (
        os.pathsep.join(["/sbin", "/bin", "/opt/nowhere/venv/bin"])
        in toolchain.find(Tree("/opt/nowhere", "system")).path
    )
