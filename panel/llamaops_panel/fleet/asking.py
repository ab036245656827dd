# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible itself says of an inventory: hosts, variables, and the options of their connections.

Run as a program of its own, `python -m llamaops_panel.fleet.asking SOURCE...`, so that the panel neither imports
Ansible nor waits for it. It prints one JSON document and runs nothing on any host.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from typing import Any

# what the panel needs the value of; other variables are passed on as they stand
WANTED = re.compile(r"llama_(scope|root|manager|address|gpus|models|instances(_defaults|__[a-z0-9_]+)?)|ansible_host")
SSH_OPTIONS = (
    "host", "port", "remote_user", "private_key_file", "ssh_executable", "ssh_args", "ssh_common_args",
    "ssh_extra_args", "host_key_checking", "timeout",
)  # fmt: skip
BECOME_OPTIONS = ("become_user", "become_exe", "become_flags")
HIDDEN = "(hidden)"
_SECRET = re.compile(r"passw|passphrase|_pass$|secret|token|vault|credential|private_key$|api_?key|^llama_keys$", re.I)


def main(sources: list[str]) -> None:
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import init_plugin_loader
    from ansible.vars.manager import VariableManager

    init_plugin_loader()
    sealed: list[str] = []

    class Loader(DataLoader):
        """Reads as Ansible does; a file that only a vault password opens is left out and named."""

        def load_from_file(self, file_name: str, *args: Any, **more: Any) -> Any:
            try:
                return super().load_from_file(file_name, *args, **more)
            except Exception:
                with open(file_name, "rb") as file:
                    if not file.read(14).startswith(b"$ANSIBLE_VAULT"):
                        raise
                sealed.append(str(file_name))
                return {}

    loader = Loader()
    _vault_passwords(loader)
    inventory = InventoryManager(loader=loader, sources=sources)
    manager = VariableManager(loader=loader, inventory=inventory)
    hosts = {host.name: _host(host, manager, loader) for host in inventory.get_hosts("all")}
    json.dump({"hosts": hosts, "sealed": sorted(set(sealed))}, sys.stdout, default=str)


def _vault_passwords(loader: Any) -> None:
    """Those that ansible.cfg names files for; a missing one leaves its values hidden."""
    from ansible import constants
    from ansible.cli import CLI

    try:
        given = list(constants.DEFAULT_VAULT_IDENTITY_LIST)
        loader.set_vault_secrets(CLI.setup_vault_secrets(loader, given, auto_prompt=False))
    except Exception as exc:  # noqa: BLE001  what they open is left out and named
        sys.stderr.write(f"{exc}\n")


def _host(host: Any, manager: Any, loader: Any) -> dict[str, Any]:
    from ansible.template import Templar

    problems: dict[str, str] = {}
    try:
        raw = manager.get_vars(host=host, include_hostvars=False)
    except Exception as exc:  # noqa: BLE001  one host that cannot be read must not hide the others
        return {"groups": [], "variables": {}, "connection": {}, "problems": {"variables": _short(exc)}}
    templar = Templar(loader=loader, variables=raw)

    def value(name: str) -> Any:
        try:
            return plain(templar.template(raw[name]))
        except Exception as exc:  # noqa: BLE001  undefined, vaulted, or a lookup that fails
            problems[name] = _short(exc)
            return None

    groups = sorted(group.name for group in host.get_groups() if group.name not in ("all", "ungrouped"))
    own = {name: value(name) if WANTED.fullmatch(name) else _as_is(raw, name) for name in raw if _told(name)}
    return {
        "groups": groups,
        "variables": {name: hidden(name, said) for name, said in own.items()},
        "connection": _connection(host.name, raw, templar, problems),
        "problems": problems,
    }


_OURS = ("groups", "group_names", "omit", "inventory_hostname", "inventory_hostname_short", "inventory_dir",
         "inventory_file", "playbook_dir")  # fmt: skip  # what Ansible adds
_SHOWN = ("ansible_host", "ansible_port", "ansible_user", "ansible_connection")


def _told(name: str) -> bool:
    return name in _SHOWN or not (name in _OURS or name.startswith("ansible_"))


def _as_is(raw: Mapping[str, Any], name: str) -> Any:
    try:
        return plain(raw[name])
    except Exception:  # noqa: BLE001  a vaulted value without its password
        return HIDDEN


def _connection(name: str, raw: Mapping[str, Any], templar: Any, problems: dict[str, str]) -> dict[str, Any]:
    """Every option as the connection and become plugins themselves find it: variables, environment, ansible.cfg."""
    from ansible import constants
    from ansible.plugins.loader import become_loader, connection_loader

    variables = {}
    for key in raw:
        if key.startswith("ansible_") or key == "inventory_hostname":
            try:
                variables[key] = templar.template(raw[key])
            except Exception as exc:  # noqa: BLE001  told where it is needed
                problems[key] = _short(exc)
    kind = str(variables.get("ansible_connection") or constants.DEFAULT_TRANSPORT).rpartition(".")[2]
    kind = "ssh" if kind == "smart" else kind
    secret = bool({"ansible_password", "ansible_ssh_pass", "ansible_ssh_password"} & set(raw))
    found: dict[str, Any] = {"kind": kind, "password": secret, "become": None}
    if kind == "ssh":
        found["options"] = _options(connection_loader, "ssh", variables, SSH_OPTIONS)
        found["options"]["host"] = found["options"].get("host") or name
    become = _yes(variables.get("ansible_become", constants.DEFAULT_BECOME))
    if become:
        method = str(variables.get("ansible_become_method") or constants.DEFAULT_BECOME_METHOD).rpartition(".")[2]
        asked = bool({"ansible_become_password", "ansible_become_pass", "ansible_sudo_pass"} & set(raw))
        options = _options(become_loader, method, variables, BECOME_OPTIONS) if method == "sudo" else {}
        found["become"] = {"method": method, "password": asked, "options": options}
    return found


def _options(loader: Any, kind: str, variables: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    from ansible import constants

    loader.get(kind, class_only=True)  # makes its options known
    plugin = "connection" if loader.class_name == "Connection" else "become"
    found = {}
    for name in names:
        try:
            found[name] = plain(
                constants.config.get_config_value(name, plugin_type=plugin, plugin_name=kind, variables=dict(variables))
            )
        except Exception:  # noqa: BLE001  an option that this version of Ansible does not have
            found[name] = None
    return found


def _yes(value: Any) -> bool:
    return str(value).lower() in ("1", "true", "yes", "on", "y", "t")


def plain(value: Any) -> Any:
    """Only what JSON has, without Ansible's tags; a vaulted value raises unless it can be opened."""
    if isinstance(value, Mapping):
        return {str(key): _inner(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_inner(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    return str(value)


def _inner(value: Any) -> Any:
    try:
        return plain(value)
    except Exception:  # noqa: BLE001  vaulted: the rest of the dictionary is still worth having
        return HIDDEN


def hidden(name: str, value: Any) -> Any:
    """The value with secrets left out, by the names that they have."""
    if _SECRET.search(name) and not isinstance(value, bool):
        return HIDDEN
    if isinstance(value, dict):
        return {key: hidden(key, item) for key, item in value.items()}
    if isinstance(value, list):
        return [hidden("", item) for item in value]
    return value


def _short(exc: BaseException) -> str:
    return " ".join(str(exc).split())[:300]


if __name__ == "__main__":
    main(sys.argv[1:])
