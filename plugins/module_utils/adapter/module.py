# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From Ansible to the core and back: arguments, errors, results.

PRIVATE to the collection.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import traceback
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.common.respawn import has_respawned, respawn_module

from ..core import command
from ..core import tree as trees
from ..core.errors import LlamaOpsError

ROOT_ARGUMENTS: dict[str, dict[str, Any]] = {
    "root": {"type": "path", "required": True},
    "scope": {"type": "str", "choices": ["auto", "system", "user"], "default": "auto"},
}


@contextlib.contextmanager
def reporting(module: AnsibleModule) -> Iterator[None]:
    """Turn every error of the block into `fail_json` with a sentence and a remedy."""
    try:
        yield
    except LlamaOpsError as exc:
        module.fail_json(msg=str(exc), remedy=exc.remedy, **exc.details)
    except command.Ended:
        module.fail_json(msg="Ended by SIGTERM, and so is what it had started. Run this again to go on.")
    except OSError as exc:
        module.fail_json(
            msg=f"{exc.filename or 'The system'}: {exc.strerror or exc}.", exception=traceback.format_exc()
        )
    except Exception as exc:  # noqa: BLE001  a defect of ours must still end as a result of a module
        module.fail_json(
            msg=f"Unexpected {type(exc).__name__}: {exc}. This is a defect of llamaops.llama_cpp, please report it.",
            exception=traceback.format_exc(),
        )


def open_tree(module: AnsibleModule) -> trees.Tree:
    """The runtime root that the arguments `root` and `scope` name."""
    return trees.open_tree(module.params["root"], module.params["scope"])


def need_libraries(module: AnsibleModule, tree: trees.Tree | None, *packages: tuple[str, str]) -> None:
    """Make sure that Python packages can be imported; start again in the managed environment if not.

    :param tree: the root whose environment may have them, if the module knows one.
    :param packages: pairs of import name and name on the package index.
    """
    missing = [package for name, package in packages if not _importable(name)]
    if not missing:
        return
    python = os.path.join(tree.venv, "bin", "python") if tree else ""
    if os.path.exists(python) and not has_respawned():
        respawn_module(python)
    install = f"{python} -m pip install {' '.join(missing)}" if os.path.exists(python) else "run the role llama_runtime"
    module.fail_json(msg=missing_required_lib(missing[0]) + f" Or: {install}.", remedy=install)


def _importable(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True
