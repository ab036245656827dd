# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.host.cgroup import Limits, _below, limits
from hypothesis import given
from hypothesis import strategies as st

GIB = 1 << 30
V2 = {
    "proc/self/cgroup": "0::/system.slice/llama-chat.service\n",
    "proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n",
}
UNIT = "sys/fs/cgroup/system.slice/llama-chat.service"
SLICE = "sys/fs/cgroup/system.slice"
V1 = {
    "proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n",
    "proc/self/mountinfo": (
        "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
        "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    ),
}
NO_LIMIT_V1 = "9223372036854771712\n"

CASES = {
    "no cgroups at all": ({}, Limits(None, None, None)),
    "v2 without limits": (
        {**V2, f"{UNIT}/memory.max": "max\n", f"{UNIT}/cpu.max": "max 100000\n"},
        Limits(None, None, None),
    ),
    "v2 limits of the own group, cache counted as free": (
        {
            **V2,
            f"{UNIT}/memory.max": f"{8 * GIB}\n",
            f"{UNIT}/memory.current": f"{5 * GIB}\n",
            f"{UNIT}/memory.stat": f"anon 1\ninactive_file {2 * GIB}\nactive_file 7\n",
            f"{UNIT}/cpu.max": "150000 100000\n",
        },
        Limits(8 * GIB, 5 * GIB, 1.5),
    ),
    "v2 tighter limit of a group around it": (
        {
            **V2,
            f"{UNIT}/memory.max": f"{8 * GIB}\n",
            f"{UNIT}/memory.current": "0\n",
            f"{SLICE}/memory.max": f"{4 * GIB}\n",
            f"{SLICE}/memory.current": f"{3 * GIB}\n",
            f"{SLICE}/cpu.max": "50000 100000\n",
        },
        Limits(4 * GIB, GIB, 0.5),
    ),
    "v2 over its limit has nothing left": (
        {**V2, f"{UNIT}/memory.max": "1000\n", f"{UNIT}/memory.current": "5000\n"},
        Limits(1000, 0, None),
    ),
    "hybrid: v1 controllers beside an empty v2": (
        {
            **V1,
            "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": f"{2 * GIB}\n",
            "sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes": f"{GIB}\n",
            "sys/fs/cgroup/memory/docker/abc/memory.stat": "total_inactive_file 0\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": NO_LIMIT_V1,
            "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "200000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n",
        },
        Limits(2 * GIB, GIB, 2.0),
    ),
    "v1 without limits": (
        {
            **V1,
            "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": NO_LIMIT_V1,
            "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n",
        },
        Limits(None, None, None),
    ),
    "v1 container that shares the host's cgroup names: its own group is the mount": (
        {
            "proc/self/cgroup": "4:memory:/docker/abc\n",
            "proc/self/mountinfo": "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "4096\n",
        },
        Limits(4096, 4096, None),
    ),
    "files that are not what they should be": (
        {**V2, f"{UNIT}/memory.max": "lots\n", f"{UNIT}/cpu.max": "1 0\n"},
        Limits(None, None, None),
    ),
}


@pytest.mark.parametrize(("host", "expected"), CASES.values(), ids=CASES.keys())
def test_limits(plant, host, expected):
    assert limits(plant(host)) == expected


@pytest.mark.parametrize(
    ("path", "mount_root", "expected"),
    [
        ("/a/b", "/", "a/b"),
        ("/a/b", "/a", "b"),
        ("/a/b", "/a/b", ""),
        ("/", "/", ""),
        ("/ab", "/a", ""),
        ("/../other", "/", ""),
    ],
)
def test_place_of_a_group_inside_a_mount(path, mount_root, expected):
    assert _below(path, mount_root) == expected


@given(st.text(), st.text())
def test_any_text_is_survived(tmp_path_factory, own, mounts):
    root = tmp_path_factory.mktemp("host")
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(own, errors="replace")
    (root / "proc/self/mountinfo").write_text(mounts, errors="replace")
    assert isinstance(limits(str(root)), Limits)
