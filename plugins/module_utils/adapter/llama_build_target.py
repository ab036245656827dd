# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module llama_build_target in terms of the core.

PRIVATE to the collection.
"""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..core.build import targets

ARGUMENTS: dict[str, dict[str, Any]] = {
    "backend": {"type": "str", "default": "auto"},
    "cpu": {"type": "str", "choices": ["native", "baseline", "portable"], "default": "native"},
}


def run(module: AnsibleModule) -> dict[str, Any]:
    """Describe what this host needs."""
    return {"changed": False, **targets.describe(module.params["backend"], module.params["cpu"])}
