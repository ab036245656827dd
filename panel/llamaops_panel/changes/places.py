# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the panel's file of a host lies, and reading and writing it without following a link.

Ansible reads `host_vars/HOST/` beside every source of the inventory: a file, a folder, the file of a plugin.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput, Prerequisite

FILE = "llama_panel.yml"
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
_LIMIT = 4 << 20  # bytes
_HIDING = (".yml", ".yaml", ".json")
_AS_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def base(inventory: Sequence[str], project: Path) -> Path:
    """The folder that holds `host_vars`.

    :raises InvalidInput: the inventory is a list of hosts, which has no folder.
    """
    for source in inventory:
        path = project / source
        if "," not in str(source) and path.exists():
            return path if path.is_dir() else path.parent
    raise InvalidInput(
        f"The inventory {', '.join(map(str, inventory)) or '(none)'} has no folder for host_vars.",
        "Write the hosts into a file, such as inventory/hosts.yml, and start the panel with it.",
    )


def path(folder: Path, host: str) -> Path:
    """The file of a host.

    :raises InvalidInput: the name could leave the folder, or Ansible would no longer read a file that is there.
    """
    if not isinstance(host, str) or not _HOST.fullmatch(host):
        raise InvalidInput(
            f"{str(host)[:80]!r} cannot name a folder of host_vars.",
            "Use letters, digits, dots, dashes and underscores; ansible_host may have the address.",
        )
    own = folder / "host_vars" / host
    if not own.is_dir():
        hidden = [found for found in (own, *(own.with_name(host + end) for end in _HIDING)) if found.exists()]
        if hidden:
            raise InvalidInput(
                f"Ansible reads either {hidden[0]} or the folder {own}, and the panel needs the folder.",
                f"Move the file: mkdir {own}.d && mv {hidden[0]} {own}.d/main.yml && mv {own}.d {own}",
            )
    return own / FILE


def read(file: Path, folder: Path) -> str | None:
    """The text of a file below a folder; None when there is none.

    :raises InvalidInput: there is a link on the way, or it is no text of a sensible size.
    """
    with contextlib.ExitStack() as stack:
        at = _open(stack, file, folder, make=False)
        return None if at is None else _read(file, at)


@contextlib.contextmanager
def changing(file: Path, folder: Path) -> Iterator[File]:
    """The file, with nobody else of this kind writing it meanwhile. Folders on the way are made.

    :raises InvalidInput: there is a link on the way.
    :raises Prerequisite: it cannot be written.
    """
    with contextlib.ExitStack() as stack:
        try:
            at = _open(stack, file, folder, make=True)
            opened = -1 if at is None else at
            fcntl.flock(opened, fcntl.LOCK_EX)
        except OSError as exc:
            raise _unwritable(file, exc) from exc
        yield File(file, opened)


class File:
    """A file in an open folder."""

    def __init__(self, file: Path, at: int) -> None:
        self._file, self._at = file, at

    def read(self) -> str | None:
        return _read(self._file, self._at)

    def write(self, text: str) -> None:
        """Replace it at once; its permissions stay.

        :raises Prerequisite: it cannot be written; then it is as it was.
        """
        temporary = f".{self._file.name}.{secrets.token_hex(4)}"
        try:
            mode = stat.S_IMODE(os.stat(self._file.name, dir_fd=self._at, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            mode = 0o644
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(temporary, flags, 0o600, dir_fd=self._at), "w", encoding="utf-8") as out:
                out.write(text)
                os.fchmod(out.fileno(), mode)
                out.flush()
                os.fsync(out.fileno())
            os.replace(temporary, self._file.name, src_dir_fd=self._at, dst_dir_fd=self._at)
        except OSError as exc:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=self._at)
            raise _unwritable(self._file, exc) from exc


def _open(stack: contextlib.ExitStack, file: Path, folder: Path, make: bool) -> int | None:
    """The folder of a file, opened step by step from the base folder, which may be a link; nothing below may."""
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    stack.callback(os.close, at)
    for part in file.relative_to(folder).parts[:-1]:
        try:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=at)
            at = os.open(part, _AS_FOLDER, dir_fd=at)
        except FileNotFoundError:
            return None
        except NotADirectoryError as exc:  # also said of a link
            raise InvalidInput(f"{part} on the way to {file} is a link or no folder.", "Make it a folder.") from exc
        stack.callback(os.close, at)
    return at


def _read(file: Path, at: int) -> str | None:
    try:
        handle = os.open(file.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise InvalidInput(f"{file} cannot be read: {exc.strerror}; is it a link?", "Make it a plain file.") from exc
    with open(handle, "rb") as found:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise InvalidInput(f"{file} is no plain file.", "Remove it.")
        data = found.read(_LIMIT + 1)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise InvalidInput(f"{file} is no UTF-8 text.", "Mend it, or remove it.") from exc
    if len(data) > _LIMIT:
        raise InvalidInput(f"{file} has more than {_LIMIT} bytes.", "Split it.")
    return text


def _unwritable(file: Path, exc: OSError) -> Prerequisite:
    return Prerequisite(
        f"{file} cannot be written: {exc.strerror}.",
        "Give the user of the panel the right to write there; nothing changed.",
    )
