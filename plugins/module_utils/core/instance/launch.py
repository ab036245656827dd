# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an instance to its launch: which build, which file, which command, which limits."""

from __future__ import annotations

import os

from ..build import builds
from ..errors import Prerequisite
from ..tree import Tree
from . import cmdline, served
from .definition import Instance
from .service import Manager
from .unit import Launch, credential_path

SLOWEST_READ = 50 << 20  # bytes/s of a disk that still counts as working


def resolve(tree: Tree, manager: Manager, instance: Instance) -> Launch:
    """Everything needed to start an instance, checked against what is on this host.

    :raises Prerequisite: the build or the model set is not there yet.
    :raises InvalidInput: an option is unknown to the build, or the model cannot be served.
    :raises Untrusted: the model file is damaged.
    """
    build = _build(tree, instance)
    files = served.find(tree, instance)
    if manager.kind == "systemd" and not os.path.exists(tree.probe):
        raise Prerequisite(f"{tree.probe} is missing.", "Run the role llama_runtime, or the module of that name.")
    key_file = key_path(tree, instance.name) if instance.keys else None
    seen = credential_path(instance.name) if key_file and manager.hardening == "system" else key_file
    command = cmdline.compose(instance, build, files, seen)
    facts = {
        "Schema": "1",
        "Instance": instance.name,
        "Kind": instance.kind,
        "URL": instance.url,
        "Build": build.id,
        "Model": instance.model,
        "ModelSHA256": files.content,
    }
    facts["Inputs"] = served.digest({**facts, "argv": command.argv, "env": dict(command.env)})
    return Launch(
        instance=instance,
        command=command,
        facts=facts,
        model_folders=files.folders,
        probe=tree.probe,
        start_timeout=instance.start_timeout or 60 + files.size // SLOWEST_READ,
        key_file=key_file,
    )


def key_path(tree: Tree, name: str) -> str:
    """The file that holds the API keys of one instance, readable by its owner only."""
    return os.path.join(tree.keys, name)


def folder(tree: Tree, name: str) -> str:
    """The folder of what we remember of one instance."""
    return os.path.join(tree.instances, name)


def _build(tree: Tree, instance: Instance) -> builds.Build:
    if instance.build != "active":
        return builds.find(tree, instance.build)
    active = builds.active(tree)
    if active is None:
        raise Prerequisite(f"No build is active in {tree.root}.", "Run llama_build (playbooks/build.yml) first.")
    return active
