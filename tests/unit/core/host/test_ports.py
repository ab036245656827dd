# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds a port, asked of real sockets and of made-up process trees."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.host import ports


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as attempt:
            attempt.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this host has no IPv6")


@contextlib.contextmanager
def listening(host, v6only=False, port=0):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as server:
        if ":" in host:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6only))
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((host, port))
        server.listen()
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("listener", "wanted", "clash"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "localhost", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "0.0.0.0", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("0.0.0.0", "192.0.2.1", True),
        ("127.0.0.1", "some.host.example", True),
        pytest.param("127.0.0.1", "::1", False, marks=needs_ipv6),
        pytest.param("127.0.0.1", "::", True, marks=needs_ipv6),
        pytest.param("::1", "127.0.0.1", False, marks=needs_ipv6),
        pytest.param("::1", "0.0.0.0", False, marks=needs_ipv6),
        pytest.param("::1", "::", True, marks=needs_ipv6),
        pytest.param("::", "::1", True, marks=needs_ipv6),
        pytest.param("::", "127.0.0.1", True, marks=needs_ipv6),
        pytest.param("::ffff:127.0.0.1", "127.0.0.1", True, marks=needs_ipv6),
    ],
)
def test_who_clashes_with_whom(listener, wanted, clash):
    with listening(listener) as port:
        found = ports.holder(wanted, port)
        assert (found is not None) == clash
        if found:
            assert (found.pid, found.port, found.uid) == (os.getpid(), port, os.getuid())
            assert found.name == os.path.basename(Path("/proc/self/cmdline").read_text().split("\0")[0])


@needs_ipv6
def test_a_listener_on_ipv6_only_leaves_ipv4_free():
    with listening("::", v6only=True) as port:
        assert ports.holder("127.0.0.1", port) is None
        assert ports.holder("::1", port) is not None


@needs_ipv6
def test_the_exact_address_is_named_before_a_wildcard():
    with listening("::", v6only=True) as port, listening("127.0.0.1", port=port):
        assert ports.holder("127.0.0.1", port).address == "127.0.0.1"


def test_free_and_connected_ports_are_not_held():
    with listening("127.0.0.1") as port, socket.create_connection(("127.0.0.1", port)) as client:
        assert ports.holder("127.0.0.1", client.getsockname()[1]) is None
    assert ports.holder("127.0.0.1", port) is None


HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
ROW = (
    "   0: {} 00000000:0000 0A 00000000:00000000 00:00000000 00000000  {}        0 {} 1 0000000000000000 100 0 0 10 0\n"
)


@pytest.fixture
def proc(tmp_path):
    """A tree with one listener, 127.0.0.1:8080 of user 990, socket 4711."""
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(HEADER + ROW.format("0100007F:1F90", 990, 4711))
    return tmp_path


def owner(proc, pid, argv, inode=4711):
    (proc / str(pid) / "fd").mkdir(parents=True)
    os.symlink(f"socket:[{inode}]", proc / str(pid) / "fd" / "3")
    (proc / str(pid) / "cmdline").write_text("".join(word + "\0" for word in argv))
    (proc / str(pid) / "cgroup").write_text("0::/system.slice/llama-chat.service\n")


little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="the row is of a little-endian machine")


@little_endian
def test_a_process_that_may_not_be_seen_is_still_reported(proc):
    found = ports.holder("127.0.0.1", 8080, str(proc))
    assert (found.pid, found.uid) == (None, 990)
    assert ports.describe(found) == "a process of the user with id 990 (listening on 127.0.0.1)"


@little_endian
@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["/opt/x/bin/llama-server", "--api-key", "s3cret"], "process 42 (llama-server, llama-chat.service)"),
        (["nginx: master --password=s3cret"], "process 42 (nginx, llama-chat.service)"),
        (["\x1b[31mevil\x07"], "process 42 ([31mevil, llama-chat.service)"),
        ([], "process 42 (llama-chat.service)"),
    ],
)
def test_description_shows_the_program_and_no_arguments(proc, argv, says):
    owner(proc, 41, ["other"], inode=4712)
    owner(proc, 42, argv)
    assert ports.describe(ports.holder("0.0.0.0", 8080, str(proc))) == says
