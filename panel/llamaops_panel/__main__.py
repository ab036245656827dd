# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: serve, and the users and tokens of the panel."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .settings import SettingsError, read
from .store import StoreError
from .store.users import ROLES, UserError


def main() -> int:
    arguments = parser().parse_args()
    given = {
        name: getattr(arguments, name)
        for name in ("inventory", "state", "address", "port", "tls_certificate", "tls_key", "behind_proxy", "names")
        if hasattr(arguments, name)
    }
    try:
        settings = read(arguments.config, given)
        if arguments.command == "serve":
            from .serve import serve  # what serves is slow to import

            return serve(settings)
        from . import accounts

        return accounts.run(arguments, settings)
    except (SettingsError, StoreError, UserError) as error:
        print(f"llamaops_panel: {error}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path, metavar="FILE", help="settings as TOML; arguments stand above them")
    common.add_argument("--state", type=Path, metavar="FOLDER", help="where users, jobs and history are kept")
    top = argparse.ArgumentParser(prog="llamaops_panel", description="A fleet of llama.cpp hosts in a browser.")
    commands = top.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", parents=[common], help="run the panel")
    serving.add_argument("-i", "--inventory", type=Path, action="append", metavar="PATH", help="as of ansible-playbook")
    serving.add_argument("--address", help="where to listen (127.0.0.1)")
    serving.add_argument("--port", type=int, help="(8790)")
    serving.add_argument("--tls-certificate", type=Path, metavar="FILE")
    serving.add_argument("--tls-key", type=Path, metavar="FILE")
    serving.add_argument("--behind-proxy", action="store_true", default=None, help="another server ends TLS before it")
    serving.add_argument("--name", dest="names", action="append", help="a host name by which browsers reach it")
    _accounts(commands, common)
    return top


def _accounts(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    user = commands.add_parser("user", help="who may log in").add_subparsers(dest="action", required=True)
    adding = user.add_parser("add", parents=[common], help="the first one is an admin")
    adding.add_argument("name")
    adding.add_argument("--role", choices=ROLES)
    changing = user.add_parser("password", parents=[common], help="give a new password; ends the user's sessions")
    changing.add_argument("name")
    for command in (adding, changing):
        command.add_argument(
            "--password-file", type=Path, metavar="FILE", help="read it there instead of asking; - is stdin"
        )
    role = user.add_parser("role", parents=[common])
    role.add_argument("name")
    role.add_argument("role", choices=ROLES)
    user.add_parser("remove", parents=[common]).add_argument("name")
    user.add_parser("list", parents=[common])
    token = commands.add_parser("token", help="what programs log in with").add_subparsers(dest="action", required=True)
    making = token.add_parser("add", parents=[common], help="printed once")
    making.add_argument("name", metavar="user")
    making.add_argument("label")
    making.add_argument("--role", choices=ROLES, default="viewer")
    making.add_argument("--days", type=int, default=90, help="how long it is valid; 0: without end (90)")
    token.add_parser("list", parents=[common])
    token.add_parser("revoke", parents=[common]).add_argument("id")


if __name__ == "__main__":
    sys.exit(main())
