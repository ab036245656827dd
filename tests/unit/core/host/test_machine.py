# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.host import machine
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.host.cgroup import Limits
from hypothesis import given
from hypothesis import strategies as st

FREE = Limits(None, None, None)
GIB = 1 << 30
MEMINFO = (
    f"MemTotal: {16 * GIB // 1024} kB\nMemFree: 1024 kB\nMemAvailable: {12 * GIB // 1024} kB\nBuffers: 0 kB\n"
    "Cached: 0 kB\nSReclaimable: 0 kB\nShmem: 0 kB\nActive: 0 kB\nInactive: 0 kB\nSlab: 0 kB\n"
)


@pytest.mark.parametrize(
    ("allowed", "total", "available", "limit"),
    [
        (FREE, 16 * GIB, 12 * GIB, None),
        (Limits(4 * GIB, 3 * GIB, None), 4 * GIB, 3 * GIB, 4 * GIB),
        (Limits(14 * GIB, 13 * GIB, None), 14 * GIB, 12 * GIB, 14 * GIB),
        (Limits(64 * GIB, 60 * GIB, None), 16 * GIB, 12 * GIB, None),
    ],
)
def test_memory_never_exceeds_what_the_control_group_allows(plant, allowed, total, available, limit):
    found = machine.memory(plant({"proc/meminfo": MEMINFO}), allowed)
    assert found == {"total": total, "available": available, "installed": 16 * GIB, "limit": limit}


TWO_CORES_FOUR_THREADS = {
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: Fake EPYC 9654 @ 2.4GHz: fast\nflags\t\t: fpu avx2 avx512f\n\n"
    "processor\t: 1\nmodel name\t: other\n",
    "proc/self/status": "Name:\tpython\nCpus_allowed:\tf\nCpus_allowed_list:\t0-3\n",
    "sys/devices/system/cpu/online": "0-3\n",
    **{
        f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list": f"{number % 2},{number % 2 + 2}\n"
        for number in range(4)
    },
}


def test_cpu(plant):
    assert machine.cpu(plant(TWO_CORES_FOUR_THREADS), FREE) == {
        "model": "Fake EPYC 9654 @ 2.4GHz: fast",
        "flags": ["avx2", "avx512f", "fpu"],
        "logical": 4,
        "physical": 2,
        "quota": None,
        "usable": 4,
    }


@pytest.mark.parametrize(
    ("affinity", "quota", "usable"), [("0-3", 2.5, 2), ("0-3", 0.5, 1), ("1,3", None, 2), ("1", 3.0, 1)]
)
def test_usable_cpus_are_the_least_of_quota_and_affinity(plant, affinity, quota, usable):
    tree = {**TWO_CORES_FOUR_THREADS, "proc/self/status": f"Cpus_allowed_list:\t{affinity}\n"}
    found = machine.cpu(plant(tree), Limits(None, None, quota))
    assert (found["quota"], found["usable"]) == (quota, usable)


def test_an_arm_processor_has_codes_for_a_name(plant):
    info = "processor\t: 0\nFeatures\t: fp asimd sve\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n"
    found = machine.cpu(plant({"proc/cpuinfo": info}), FREE)
    assert (found["model"], found["flags"]) == ("CPU implementer 0x41, CPU part 0xd4f", ["asimd", "fp", "sve"])


def test_numa_nodes_are_ordered_by_number(plant):
    nodes = {}
    for number, cpus in ((10, "8-9"), (2, "0-1,4"), (3, "")):
        folder = f"sys/devices/system/node/node{number}"
        nodes[f"{folder}/cpulist"] = cpus + "\n"
        nodes[f"{folder}/meminfo"] = f"Node {number} MemTotal:  2048 kB\nNode {number} MemFree:  1024 kB\n"
    assert machine.numa(plant(nodes)) == [
        {"node": 2, "cpus": [0, 1, 4], "total": 2 << 20, "free": 1 << 20},
        {"node": 3, "cpus": [], "total": 2 << 20, "free": 1 << 20},
        {"node": 10, "cpus": [8, 9], "total": 2 << 20, "free": 1 << 20},
    ]


RELEASES = {
    "debian": ('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n', "debian", "debian", "12"),
    "ubuntu": ("ID=ubuntu\nID_LIKE=debian\nVERSION_ID='24.04'\n", "debian", "ubuntu", "24.04"),
    "mint": ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', "debian", "linuxmint", None),
    "rocky": ('ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n', "redhat", "rocky", "9.4"),
    "fedora": ("# comment\nID=fedora\n", "redhat", "fedora", None),
    "alpine": ("ID=alpine\n", None, "alpine", None),
    "damaged": ('ID="debian\nnonsense\n', None, '"debian', None),
    "empty": ("", None, None, None),
}


@pytest.mark.parametrize(("text", "family", "name", "version"), RELEASES.values(), ids=RELEASES.keys())
def test_distribution(plant, text, family, name, version):
    found = machine.os_release(plant({"etc/os-release": text}))
    assert (found["family"], found["id"], found["version"]) == (family, name, version)


@pytest.mark.parametrize(
    ("tree", "kind"),
    [
        ({}, None),
        ({"run/systemd/container": "systemd-nspawn\n"}, "systemd-nspawn"),
        ({"proc/1/environ": "PATH=/bin\0container=lxc\0"}, "lxc"),
        ({".dockerenv": ""}, "docker"),
        ({"run/.containerenv": ""}, "podman"),
        ({"run/secrets/kubernetes.io/serviceaccount/token": ""}, "kubernetes"),
    ],
)
def test_container(plant, tree, kind):
    assert machine.container(plant(tree)) == kind


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("0-2,8", [0, 1, 2, 8]), ("", []), ("0", [0]), ("3-1", []), ("x,1,-2,99999999", [1]), (" 4 - 6 ", [])],
)
def test_cpu_list(text, numbers):
    assert machine.cpu_list(text) == numbers


@given(st.sets(st.integers(0, 4096), max_size=64))
def test_cpu_list_reads_back_every_number(numbers):
    assert machine.cpu_list(",".join(str(number) for number in numbers)) == sorted(numbers)


def test_this_host_reads_and_is_json():
    facts = json.loads(json.dumps(machine.read()))
    assert facts["memory"]["available"] <= facts["memory"]["total"] <= facts["memory"]["installed"]
    assert 1 <= facts["cpu"]["usable"] <= facts["cpu"]["logical"] == os.cpu_count()
    assert facts["kernel"] == os.uname().release
