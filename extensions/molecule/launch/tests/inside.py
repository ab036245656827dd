# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server could do if it were taken over: run in the place of llama-server, with the lines of its own unit.

inside.py ADDRESS PORT     an address outside of this host where something listens
"""

import ctypes
import errno
import json
import mmap
import os
import signal
import socket
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_ATTACH, CLONE_NEWUSER, PROT_ALL, SYS_KEXEC_LOAD = 16, 0x10000000, 7, 246


def call(name, *arguments):
    """Call the C library; raises OSError as Python does."""
    if getattr(LIBC, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def write(path):
    with open(path, "w", encoding="ascii") as file:
        file.write("x")


def read(path):
    with open(path, "rb") as file:
        file.read(1)


def connect(address, port):
    socket.create_connection((address, int(port)), timeout=3).close()


def trace_a_child():
    child = os.fork()
    if child == 0:
        signal.pause()
    try:
        call("ptrace", PTRACE_ATTACH, child, None, None)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def map_memory_to_write_and_run():
    mmap.mmap(-1, 4096, prot=PROT_ALL)


def set_uid_file():
    path = os.path.join(os.environ["STATE_DIRECTORY"], "tool")
    write(path)
    os.chmod(path, 0o4755)


def others_in_proc():
    # of 1, at least, everybody may read the status where /proc is whole
    read("/proc/1/status")


TRIALS = {
    "write its state folder": lambda: write(os.path.join(os.environ["STATE_DIRECTORY"], "x")),
    "write its private /tmp": lambda: write("/tmp/x"),
    "read its build": lambda: read("/opt/llama/libexec/llama-probe"),
    "read its model": lambda: read("/opt/llama/models/builtin/tiny.gguf"),
    "reach this host": lambda: connect("127.0.0.1", 22),
    "write /etc": lambda: write("/etc/inside"),
    "write the runtime root": lambda: write("/opt/llama/inside"),
    "write the state of others": lambda: write("/var/lib/inside"),
    "read the keys of others": lambda: read("/opt/llama/keys/chat"),
    "read people's folders": lambda: os.listdir("/root") and read("/root/hub-token"),
    "see other processes": others_in_proc,
    "trace a process": trace_a_child,
    "send raw packets": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "talk to the kernel by netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0),
    "reach another host": lambda: connect(*sys.argv[1:3]),
    "make a user namespace": lambda: call("unshare", CLONE_NEWUSER),
    "mount": lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "load a kernel": lambda: call("syscall", SYS_KEXEC_LOAD, 0, 0, None, 0),
    "set a kernel setting": lambda: write("/proc/sys/net/ipv4/ip_forward"),
    "lift its limits": lambda: os.mkdir("/sys/fs/cgroup/memory/inside"),
    "set the name of the host": lambda: socket.sethostname("inside"),
    "make a file that lends rights": set_uid_file,
    "write code and run it": map_memory_to_write_and_run,
    "read kernel memory": lambda: read("/dev/kmsg"),
    "use a device": lambda: read("/dev/fuse"),
    "make a device": lambda: os.mknod("/tmp/null", 0o20666, os.makedev(1, 3)),
    "read llama.cpp's ambient configuration": lambda: read("/etc/llama.cpp/config.ini"),
    "become root": lambda: os.setuid(0),
}


def outcome(trial):
    try:
        trial()
    except OSError as exc:
        return errno.errorcode.get(exc.errno or 0, str(exc))
    return "done"


print(json.dumps({name: outcome(trial) for name, trial in TRIALS.items()}))
