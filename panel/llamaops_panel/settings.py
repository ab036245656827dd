# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel is told at its start: a TOML file, and arguments that stand above it."""

from __future__ import annotations

import ipaddress
import socket
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

HOUR = 3600


class SettingsError(Exception):
    """What the panel was told cannot be; the text says what was found and the remedy."""


@dataclass(frozen=True)
class Settings:
    """inventory: files or folders, as of ansible-playbook -i. state: the folder of the database and of jobs, 0700.
    address, port: where it listens. tls_certificate, tls_key: PEM files. behind_proxy: another server ends TLS before
    it; proxies: the addresses whose X-Forwarded-For and -Proto are believed. names: host names by which browsers reach
    it. session_idle, session_absolute: seconds. private_key, vault_password_file: given on to Ansible. commit_changes:
    a git commit for each change of the inventory. keep_jobs: how many ended jobs stay. project: where Ansible runs, the
    folder of ansible.cfg.
    """

    inventory: tuple[Path, ...] = ()
    state: Path = Path("~/.local/state/llamaops-panel")
    address: str = "127.0.0.1"
    port: int = 8790
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    behind_proxy: bool = False
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    names: tuple[str, ...] = ()
    session_idle: int = 8 * HOUR
    session_absolute: int = 7 * 24 * HOUR
    private_key: Path | None = None
    vault_password_file: Path | None = None
    commit_changes: bool = False
    keep_jobs: int = 500
    project: Path = Path()

    @property
    def database(self) -> Path:
        return self.state / "panel.db"

    @property
    def secure(self) -> bool:
        """Browsers reach it by https."""
        return self.behind_proxy or self.tls_certificate is not None

    @property
    def host_names(self) -> frozenset[str]:
        """Names that a request may be addressed to, besides plain addresses: others would be a rebound DNS name."""
        own = (
            {socket.gethostname(), socket.getfqdn()} if not loopback(self.address) and not self.behind_proxy else set()
        )
        return frozenset(name.lower().rstrip(".") for name in {"localhost", *own, *self.names})


def loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def read(path: Path | None, given: dict[str, Any]) -> Settings:
    """Settings of a TOML file (or of none), with what was given as arguments above it; paths in the file count from it.

    Raises SettingsError.
    """
    found: dict[str, Any] = {}
    if path is not None:
        try:
            found = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(f"cannot read the settings {path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path} is no TOML: {error}") from error
        unknown = sorted(set(found) - {field.name for field in fields(Settings)})
        if unknown:
            known = ", ".join(field.name for field in fields(Settings))
            raise SettingsError(f"{path} has the unknown setting {unknown[0]}; there are: {known}")
    base = path.parent if path is not None else Path()
    values = {name: _typed(name, value, base) for name, value in found.items()}
    values |= {name: _typed(name, value, Path()) for name, value in given.items() if value is not None}
    settings = replace(Settings(), **values)
    settings = replace(settings, state=settings.state.expanduser().absolute(), project=settings.project.absolute())
    _check(settings)
    return settings


def _typed(name: str, value: Any, base: Path) -> Any:
    """A value as its field wants it; raises SettingsError."""
    wanted = get_type_hints(Settings)[name]
    if wanted in (tuple[Path, ...], tuple[str, ...]):
        items = [value] if isinstance(value, (str, Path)) else value
        if not isinstance(items, (list, tuple)) or not all(isinstance(item, (str, Path)) for item in items):
            raise SettingsError(f"{name} must be a list of texts")
        if wanted == tuple[Path, ...]:
            # "host,host" is an inventory too
            return tuple(Path(item) if "," in str(item) else _path(item, base) for item in items)
        return tuple(str(item) for item in items)
    if wanted in (Path, Path | None):
        if not isinstance(value, (str, Path)):
            raise SettingsError(f"{name} must be a path")
        return _path(value, base)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise SettingsError(f"{name} must be {'a number' if wanted is int else wanted.__name__}, not {value!r}")
    return value


def _path(value: str | Path, base: Path) -> Path:
    return (base / Path(value).expanduser()).absolute()


def _check(settings: Settings) -> None:
    if not 0 <= settings.port <= 65535:
        raise SettingsError(f"port must be between 1 and 65535, not {settings.port}")
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise SettingsError("tls_certificate and tls_key go together: give both files")
    for file in (settings.tls_certificate, settings.tls_key, settings.private_key, settings.vault_password_file):
        if file is not None and not file.is_file():
            raise SettingsError(f"there is no file {file}")
    if not loopback(settings.address) and not settings.secure:
        raise SettingsError(
            f"{settings.address} can be reached from other computers, which would send passwords in the clear: give "
            "tls_certificate and tls_key, or say behind_proxy where another server ends TLS before the panel"
        )
    if not settings.project.is_dir():
        raise SettingsError(f"there is no folder {settings.project}")
    for name in ("session_idle", "session_absolute", "keep_jobs"):
        if getattr(settings, name) < 1:
            raise SettingsError(f"{name} must be at least 1")
