# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a worker to its launch. It is rendered like an instance: same limits, same protection, same service manager."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..build.builds import Build
from ..errors import InvalidInput
from ..instance import besideunit, candidates
from ..instance.cmdline import ENVIRONMENT, Command
from ..instance.definition import Instance
from ..instance.launch import choose_build
from ..instance.record import VISIBLE, chosen_by_id
from ..instance.room import Room
from ..instance.unit import HEAD, SECTION, Launch, exec_start, watchdog_name
from ..tree import Tree
from .definition import Worker
from .known import MARK, lent

START_TIMEOUT = 60  # seconds until it listens; drivers of many GPUs take their time
CLEAN_EVERY = 300  # seconds
PROGRAM = "ggml-rpc-server"


def resolve(tree: Tree, worker: Worker, room: Room, folder: str) -> Launch:
    """Everything needed to start a worker.

    :param folder: where the units of this host lie.
    :raises Prerequisite: no build is active.
    :raises InvalidInput: the build has no workers, or the device is not there or not free.
    """
    build = choose_build(tree, worker.build)
    program = build.tool(PROGRAM)
    device = _device(worker, build, room, folder)
    cache = f"llama/{MARK}{worker.name}" if worker.cache_quota else ""
    env = {**ENVIRONMENT, **_visible(device)}
    if cache:
        env["LLAMA_CACHE"] = f"/var/cache/{cache}"
    argv = [program, "--host", worker.address, "--port", str(worker.port)]
    argv += ["--device", str(candidates.ordered([device])[0]["flag"]) if device else "CPU"]
    argv += ["--threads", str(worker.threads)] if worker.threads else []
    argv += ["--cache"] if cache else []
    facts = {
        "Schema": "1",
        "Worker": worker.name,
        "Address": worker.endpoint,
        "Client": worker.client,
        "Build": build.id,
        "Commit": str(build.commit or ""),
        "Device": str(device["id"]) if device else "",
    }
    return Launch(
        instance=Instance(name=MARK + worker.name, kind="worker", host=worker.address, memory_max=worker.memory_max),
        command=Command(env, tuple(argv)),
        facts=facts,
        model_folders=(),
        probe=tree.probe,
        start_timeout=START_TIMEOUT,
        devices=(str(device["id"]),) if device else (),
        vendors=(str(device.get("vendor") or ""),) if device else (),
        head=worker.client or "127.0.0.1",  # one without a client does not run, and would reach nobody
        cache=cache,
    )


def beside(launch: Launch, folder: str, quota: int) -> dict[str, str]:
    """The further units of a worker by path: what makes its GPU ready, and what cleans its cache."""
    files = {}
    if launch.devices:
        files[f"{folder}/llama-gpu-ready.service"] = besideunit.gpu_ready(launch)
    if launch.cache:
        stem = f"{folder}/{watchdog_name(launch.instance.name)}"
        files[stem + ".service"] = _cleaner(launch, quota)
        files[stem + ".timer"] = besideunit.timer(launch.instance.name, CLEAN_EVERY)
    return files


def _cleaner(launch: Launch, quota: int) -> str:
    """It removes files of another user, and may touch nothing else."""
    argv = [launch.link, "clean", f"/var/cache/{launch.cache}/rpc", str(quota)]
    lines = [HEAD, "[Unit]", f"Description=Tensor cache of {launch.service}", "", "[Service]", "Type=oneshot"]
    lines += [exec_start(argv), *besideunit.WATCHDOG.splitlines()]
    lines += [
        "CapabilityBoundingSet=CAP_DAC_OVERRIDE",
        "PrivateNetwork=yes",
        "ReadWritePaths=-/var/cache/private/llama",
    ]
    return "\n".join([*lines, "", f"[{SECTION}]", f"Watches={launch.instance.name}"]) + "\n"


def _device(worker: Worker, build: Build, room: Room, folder: str) -> Mapping[str, Any] | None:
    backend = str(build.manifest["recipe"]["backend"])
    if worker.devices is None:
        return None
    asked = Instance(name=worker.name, devices=worker.devices)
    found: Sequence[Mapping[str, Any]] = candidates.choose(asked, build, backend, room.devices(backend))[0]
    device = found[0]
    users = [*room.users(device["id"])]
    users += [f"worker {name}" for name in [lent(folder).get(device["id"])] if name not in (None, worker.name)]
    if users:
        raise InvalidInput(
            f"Worker {worker.name!r} needs the device {device['id']} for itself, and it is planned for "
            f"{', '.join(users)}.",
            "Give the worker another device, or deploy this host without those first.",
        )
    return device


def _visible(device: Mapping[str, Any] | None) -> dict[str, str]:
    if device is None or not chosen_by_id([device]):
        return {}
    return {VISIBLE[str(device["backend"])]: str(device["id"])}
