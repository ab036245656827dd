# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that say which runtime root a module works on (`ROOT_ARGUMENTS` of the adapter)."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  root:
    description:
      - The runtime root, the folder on the host that holds builds, models, instances and the managed virtual
        environment.
      - Usually V(/opt/llama) in the system scope and V(~/llama-runtime) in the user scope. A leading C(~) is expanded.
    type: path
    required: true
  scope:
    description:
      - V(system) needs root. A user of its own compiles, models belong to a group of their own,
        and services are those of the host.
      - V(user) needs no root. Everything belongs to the one user who runs the module.
      - V(auto) is V(system) when root runs the module and O(root) lies outside of root's home folder, else V(user).
    type: str
    choices:
      - auto
      - system
      - user
    default: auto
"""
