# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an instance to its launch: which build, which file, which command, which limits."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..build import builds
from ..errors import InvalidInput, Prerequisite
from ..files import read_json
from ..tree import Tree
from . import cmdline, planned, presets, router, served, transformers
from .definition import Instance
from .network import Tls
from .placement import Place
from .record import Record
from .service import Manager
from .unit import SCHEMA, SECTION, Launch, credential_path, socket_folder

SLOWEST_READ = 50 << 20  # bytes/s of a disk that still counts as working


@dataclass(frozen=True)
class Parts:
    """What an instance is launched from: `files` are those of its model, or of each model of a router in order."""

    build: builds.Build
    files: tuple[served.Served, ...]


def look(tree: Tree, manager: Manager, instance: Instance) -> Parts:
    """What is on this host for an instance.

    :raises Prerequisite: the build or a model set is not there yet.
    :raises InvalidInput: a file is missing.
    :raises Untrusted: a model file is damaged.
    """
    if instance.kind == transformers.KIND:
        transformers.check(f"Instance {instance.name!r}", instance)
        return Parts(transformers.service(tree, instance.build), (transformers.find(tree, instance),))
    build = choose_build(tree, instance.build)
    _check_workers(instance, build)
    if manager.kind == "systemd" and not os.path.exists(tree.probe):
        raise Prerequisite(f"{tree.probe} is missing.", "Run the role llama_runtime, or the module of that name.")
    if instance.kind == "router":
        return Parts(build, tuple(served.find(tree, item, headers=False) for item in instance.models))
    # a plan reads the header itself, if it is a new one
    return Parts(build, (served.find(tree, instance, headers=instance.kind not in planned.PLANNED),))


def resolve(tree: Tree, manager: Manager, instance: Instance, parts: Parts, plans: Mapping[str, Record]) -> Launch:
    """Everything needed to start an instance.

    :param plans: its plan by its name, or those of a router's models by theirs; none for a kind that has none.
    :raises InvalidInput: an option is unknown to the build.
    """
    build, files = parts.build, parts.files
    router_of = instance.kind == "router"
    record = None if router_of else plans.get(instance.name)
    key_file = key_path(tree, instance.name) if instance.keys else None
    seen = credential_path(instance.name) if key_file and manager.hardening == "system" else key_file
    _check_socket(manager, instance)
    own = instance.kind == transformers.KIND  # its plan decides nothing that its command says
    final = planned.resolved(instance, build, record) if record and not own else instance
    if final.tls and manager.hardening == "system":  # its own user cannot read the file, its manager hands it over
        final = replace(final, tls=Tls(final.tls.cert, credential_path(instance.name, "tls-key")))
    if router_of:
        command = router.compose(final, build, presets.path(tree, instance.name), seen, presets.visible(plans))
    elif own:
        command = transformers.compose(final, build, files[0], seen)
    else:
        command = cmdline.compose(final, build, files[0], seen, planned.place(record) if record else Place())
    facts = {
        "Schema": str(SCHEMA),
        "Instance": instance.name,
        "Kind": instance.kind,
        "URL": instance.url,
        "Build": build.id,
        "Model": instance.model,
        # a router takes over other models while it runs
        "ModelSHA256": "" if router_of else files[0].content,
        **(record.facts() if record else {}),
    }
    local = {str(row["id"]): row for one in plans.values() for row in one.local}
    return Launch(
        instance=final,
        command=command,
        facts=facts,
        model_folders=_folders(tree, [folder for item in files for folder in item.folders]),
        probe=tree.probe,
        start_timeout=instance.start_timeout
        or _patience(instance.kind) + sum(item.size for item in files) // SLOWEST_READ,
        key_file=key_file,
        devices=tuple(local),
        vendors=tuple(dict.fromkeys(str(row.get("vendor") or "") for row in local.values())),
        presets=router.presets(instance, build, files, plans) if router_of else None,
        tls_key=instance.tls.key if instance.tls else None,
    )


def _patience(kind: str) -> int:
    """Seconds that a start may take besides reading its model: torch and what it needs are a gigabyte of files."""
    return 240 if kind == transformers.KIND else 60


def _check_socket(manager: Manager, instance: Instance) -> None:
    if instance.socket and manager.kind == "supervisor":
        raise InvalidInput(
            f"Instance {instance.name!r}: supervisord cannot remove the socket that a crash leaves behind.",
            "Bind to loopback and a port, or use systemd.",
        )
    folder = socket_folder(instance.name)
    if instance.socket and manager.hardening == "system" and os.path.dirname(instance.socket) != folder:
        raise InvalidInput(
            f"Instance {instance.name!r}: its service cannot write the socket {instance.socket}.",
            f"Put it into {folder}, which is made for it.",
        )


def _folders(tree: Tree, found: list[str]) -> tuple[str, ...]:
    """The folders of the files that are served, one for all that lie in the root."""
    below = tree.models + os.sep
    return tuple(dict.fromkeys(tree.models if folder.startswith(below) else folder for folder in found))


def key_path(tree: Tree, name: str) -> str:
    """The file that holds the API keys of one instance, readable by its owner only."""
    return os.path.join(tree.keys, name)


def folder(tree: Tree, name: str) -> str:
    """The folder of what we remember of one instance."""
    return os.path.join(tree.instances, name)


def remembered(tree: Tree, name: str) -> str | None:
    """`[X-LlamaOps]` of a unit as `instance.json` remembers it, for when the unit itself was lost."""
    document = read_json(os.path.join(folder(tree, name), "instance.json"))
    facts = document.get("facts") if isinstance(document, dict) else None
    if not isinstance(facts, dict):
        return None
    return "\n".join([f"[{SECTION}]", *(f"{key}={value}" for key, value in facts.items())]) + "\n"


def choose_build(tree: Tree, wanted: str) -> builds.Build:
    """The build with an id, or the active one.

    :raises Prerequisite: none is active.
    """
    if wanted != "active":
        return builds.find(tree, wanted)
    active = builds.active(tree)
    if active is None:
        raise Prerequisite(f"No build is active in {tree.root}.", "Run llama_build (playbooks/build.yml) first.")
    return active


def _check_workers(instance: Instance, build: builds.Build) -> None:
    """Head and workers speak a protocol that changes without notice: only one source for all of them is safe."""
    for worker in instance.rpc:
        if worker.commit and worker.commit != build.commit:
            raise InvalidInput(
                f"Instance {instance.name!r} runs the build {build.id} (source {build.commit}), and its worker "
                f"{worker.worker!r} on {worker.host} the build {worker.build} (source {worker.commit}).",
                "Build both hosts of one source, with any backends, then deploy the workers and the instance.",
            )
