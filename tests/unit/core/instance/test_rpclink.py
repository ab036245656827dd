# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that watches the connections between heads and workers, on real sockets and files."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import rpclink

SERVER = """
import socket, time
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
client = server.accept()[0]
time.sleep(30)
"""


@pytest.fixture
def server():
    """A process that takes one connection and then waits, as a worker does; and its port."""
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    yield process, int(process.stdout.readline())
    process.kill()
    process.wait()


def timers(port):
    """State -> timer of the rows of a server's port in /proc/net/tcp: 02 is that of keepalive."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[3]: row[5][:2] for row in rows if row[1].endswith(f":{port:04X}")}


def test_connections_that_come_later_are_watched_by_the_kernel(server):
    process, port = server
    assert rpclink._listens(process.pid, 5)
    assert rpclink.keep(process.pid) == 1
    with socket.create_connection(("127.0.0.1", port)):
        deadline = time.monotonic() + 5
        while timers(port).get(rpclink.ESTABLISHED) != "02" and time.monotonic() < deadline:
            time.sleep(0.02)
        assert timers(port)[rpclink.ESTABLISHED] == "02"


def test_a_process_that_listens_nowhere_is_told_from_one_that_does():
    process = subprocess.Popen(["sleep", "30"])
    try:
        assert not rpclink._listens(process.pid, 0.2)
    finally:
        process.kill()
        process.wait()
    assert not rpclink._listens(process.pid, 5), "it is gone: no reason to wait"


def test_a_worker_that_comes_up_late_is_waited_for():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert rpclink.await_workers([f"127.0.0.1:{port}"], 0.1, 0.05) == [f"127.0.0.1:{port}"]
    late: list[socket.socket] = []
    timer = threading.Timer(0.3, lambda: late.append(socket.create_server(("127.0.0.1", port))))
    timer.start()
    assert rpclink.await_workers([f"127.0.0.1:{port}"], 5, 0.05) == []
    timer.join()
    late[0].close()


def test_a_lost_connection_is_seen_on_the_side_of_the_head(server):
    process, port = server
    endpoint = f"127.0.0.1:{port}"
    assert rpclink.lost([endpoint]) == [endpoint]
    with socket.create_connection(("127.0.0.1", port)):
        assert rpclink.lost([endpoint]) == []
        process.kill()
        process.wait()
        assert rpclink.lost([endpoint]) == [endpoint], "closed by the worker, and the head has not noticed"


def test_addresses_of_both_families_are_read(plant):
    rows = "  sl  local_address rem_address   st\n   0: 0100000A:1F90 {}:C384 01 0 0 0 0 0 0\n"
    v4, v6, mapped = "0200000A", "B80D0120000000000000000001000000", "0000000000000000FFFF00000300000A"
    root = plant({"net/tcp": rows.format(v4), "net/tcp6": rows.format(v6) + rows.format(mapped).split("\n", 1)[1]})
    assert rpclink.lost(["10.0.0.2:50052", "[2001:db8::1]:50052", "10.0.0.3:50052"], root) == []
    assert rpclink.lost(["10.0.0.4:50052", "10.0.0.2:50053"], root) == ["10.0.0.4:50052", "10.0.0.2:50053"]


def test_the_tensors_that_were_not_used_for_longest_go_first(tmp_path):
    for number, name in enumerate(("old", "middle", "new")):
        (tmp_path / name).write_bytes(b"x" * 8192)
        os.utime(tmp_path / name, (1000 + number, 1000 + number))
    os.utime(tmp_path / "old", (5000, 1000))  # written first, read last
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "new")
    assert rpclink.clean(str(tmp_path), 16384 + 4096) == (1, 8192)  # a link may have a block
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "link", "new", "old"]
    assert rpclink.clean(str(tmp_path), 1 << 20) == (0, 0)
    assert rpclink.clean(str(tmp_path / "nowhere"), 0) == (0, 0)
    with pytest.raises(OSError, match=re.escape("link")):  # a folder that a worker replaced by a link
        (tmp_path / "folder" / "link").symlink_to(tmp_path)
        rpclink.clean(str(tmp_path / "folder" / "link"), 0)


def test_the_program_stands_alone(server, tmp_path):
    process, port = server
    program = [sys.executable, rpclink.__file__]
    done = subprocess.run(
        [*program, "keep", "--pid", str(process.pid), "--wait", "5"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done
    done = subprocess.run(
        [*program, "await", "--wait", "0", "127.0.0.1:1"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "no worker answers at 127.0.0.1:1\n")
    (tmp_path / "tensor").write_bytes(b"x")
    done = subprocess.run([*program, "clean", str(tmp_path), "0"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "removed 1 tensors" in done.stdout
