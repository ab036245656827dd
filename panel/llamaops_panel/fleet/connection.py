# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that starts the stream of a host, by Ansible's own connection settings. Pure."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .inventory import Known

_KEYS_ONLY = "The panel types no password: remove it, and give a key (ansible_ssh_private_key_file) or an agent."
# what makes a lost network show, and keeps a question of ssh from waiting for an answer that nobody gives
_ALWAYS = ("-T", "-o", "BatchMode=yes", "-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3")


class NoWay(Exception):
    """A host cannot be streamed as its inventory says; `remedy` helps."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True)
class Way:
    """How a host is reached: the command, and where its root is."""

    argv: tuple[str, ...]
    root: str


def way(known: Known) -> Way:
    """The command of `llama-host watch` on a host.

    :raises NoWay: the inventory names a password, a connection or a method that a stream cannot use.
    """
    said, needed = known.connection, [key for key in known.problems if key in _NEEDED or key == "variables"]
    if needed:
        why = known.problems[needed[0]]
        raise NoWay(f"{needed[0]} has no value: {why}", "Correct it, or give its vault password file in ansible.cfg.")
    if said.get("password"):
        raise NoWay("The inventory gives a password for the connection.", _KEYS_ONLY)
    root = root_of(known)
    remote = [*_become(said.get("become")), f"{root}/libexec/llama-host", "watch"]
    if said.get("kind") == "local":
        return Way(tuple(os.path.expanduser(word) for word in remote), root)
    if said.get("kind") != "ssh":
        raise NoWay(f"The connection {said.get('kind')!r} has no stream.", "Use ssh or local.")
    return Way((*_ssh(said.get("options") or {}), shell_line(remote)), root)


def same_way(before: Known, after: Known | None) -> bool:
    """Whether a host is reached as before: other variables do not matter to its stream."""
    return after is not None and _way_or_why(before) == _way_or_why(after)


def _way_or_why(known: Known) -> Way | str:
    try:
        return way(known)
    except NoWay as exc:
        return exc.message


_NEEDED = ("ansible_host", "ansible_port", "ansible_user", "ansible_connection", "llama_root", "llama_scope",
           "ansible_ssh_private_key_file", "ansible_ssh_common_args", "ansible_ssh_extra_args",
           "ansible_become", "ansible_become_user")  # fmt: skip


def root_of(known: Known) -> str:
    """The runtime root, as the roles have it."""
    scope = known.variables.get("llama_scope") or "auto"
    return str(known.variables.get("llama_root") or ("~/llama-runtime" if scope == "user" else "/opt/llama"))


def shell_line(words: Sequence[str]) -> str:
    """Words for the shell that sshd starts: all quoted, but for the home folder in front of one."""
    return " ".join(f"~/{shlex.quote(word[2:])}" if word.startswith("~/") else shlex.quote(word) for word in words)


def _ssh(options: Mapping[str, Any]) -> list[str]:
    host = str(options.get("host") or "")
    if not host or host.startswith("-"):
        raise NoWay(f"{host!r} is no address.", "Correct ansible_host.")
    words = [str(options.get("ssh_executable") or "ssh")]
    words += _without_master(shlex.split(str(options.get("ssh_args") or "")))
    if options.get("host_key_checking") is False:
        words += ["-o", "StrictHostKeyChecking=no"]
    for flag, key in (("Port", "port"), ("IdentityFile", "private_key_file"), ("User", "remote_user")):
        if options.get(key):
            value = os.path.expanduser(str(options[key])) if key == "private_key_file" else str(options[key])
            words += ["-o", f'{flag}="{value}"']
    words += ["-o", f"ConnectTimeout={int(options.get('timeout') or 10)}"]
    for key in ("ssh_common_args", "ssh_extra_args"):
        words += shlex.split(str(options.get(key) or ""))
    return [*words, *_ALWAYS, "--", host]


def _without_master(words: Sequence[str]) -> list[str]:
    """A stream is its own connection: it neither needs a shared one nor dies with it."""
    kept, words = [], list(words)
    while words:
        word = words.pop(0)
        if word == "-o" and words and words[0].startswith(("Control", "control")):
            words.pop(0)
        elif not word.startswith("-oControl"):
            kept.append(word)
    return kept


def _become(become: Mapping[str, Any] | None) -> list[str]:
    if not become:
        return []
    if become.get("method") != "sudo":
        raise NoWay(f"The become method {become.get('method')!r} has no stream.", "Use sudo.")
    if become.get("password"):
        raise NoWay(
            "The inventory gives a password for sudo.",
            "The panel types none: allow its user `sudo -n` for <root>/libexec/llama-host, see docs/operations.md.",
        )
    options = become.get("options") or {}
    user = str(options.get("become_user") or "root")
    if user.startswith("-"):
        raise NoWay(f"{user!r} is no user.", "Correct ansible_become_user.")
    return [str(options.get("become_exe") or "sudo"), "-n", "-u", user, "--"]
