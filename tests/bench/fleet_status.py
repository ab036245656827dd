# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbook `status` takes on top of Ansible itself, over hosts of the lab with real servers.

    PYTHONPATH=.build/collections python tests/bench/fleet_status.py [HOSTS INSTANCES ROUNDS FORKS]

Needs what the lab needs, and the build of `tests/built.yml`. The floor is a playbook with one `ping` to the same hosts,
played in turn with `status`. Prints one JSON line: the seconds of each round, the medians and their difference, and the
load of the machine (one minute) before and after.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parents[2]
LAB_SH = str(HERE / "tests" / "lab" / "lab.sh")
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
ROOT = Path(os.environ.get("LLAMAOPS_TEST_ROOT", CACHE / "llamaops-test" / "root"))
PING = [{"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.ping": {}}]}]


def lab(*words: str) -> str:
    return subprocess.run([LAB_SH, *words], check=True, stdout=subprocess.PIPE, text=True).stdout


def inventory(instances: int) -> dict[str, Any]:
    """The hosts of the lab, each with so many small servers."""
    found: dict[str, Any] = yaml.safe_load(lab("inventory"))
    found["all"]["vars"].update(
        llama_models={"tiny": {"source": "builtin:tiny"}},
        llama_runtime_python_packages=None,
        llama_instances={
            f"chat{number}": {"model": "tiny", "port": 8080 + number, "ctx_size": 512, "options": {"threads": 1}}
            for number in range(instances)
        },
    )
    return found


def playbooks(folder: Path, build: str) -> tuple[str, str]:
    """A playbook that brings the hosts to their inventory, and the floor."""
    roles = ["llama_runtime", "llama_build", "llama_models", "llama_instances"]
    deploy = [
        {"import_playbook": str(HERE / "extensions/molecule/default/prepare.yml")},
        {
            "hosts": "all",
            "gather_facts": False,
            "vars": {"llama_build_active": build},
            "roles": [f"llamaops.llama_cpp.{role}" for role in roles],
        },
    ]
    for name, plays in (("deploy", deploy), ("floor", PING)):
        (folder / f"{name}.yml").write_text(yaml.safe_dump(plays), encoding="utf-8")
    return str(folder / "deploy.yml"), str(folder / "floor.yml")


def played(playbook: str, hosts: Path, forks: int) -> float:
    """Seconds that a playbook takes; it must succeed."""
    argv = ["ansible-playbook", "-i", str(hosts), "--forks", str(forks), playbook]
    began = time.monotonic()
    done = subprocess.run(
        [LAB_SH, "gw", *argv], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise SystemExit(done.stdout[-4000:])
    return time.monotonic() - began


def measure(folder: Path, count: int, instances: int, rounds: int, forks: int) -> dict[str, Any]:
    build = (ROOT / "current").resolve().name
    archive = folder / f"{build}.tar"
    subprocess.run(
        ["tar", "--owner=0", "--group=0", "-cf", str(archive), "-C", str(ROOT / "builds"), build], check=True
    )
    os.environ.update(LAB_BUILD_ARCHIVE=str(archive), ANSIBLE_HOST_KEY_CHECKING="0", ANSIBLE_PIPELINING="1")
    lab("up", *(f"h{number}" for number in range(count)))
    hosts = folder / "hosts.yml"
    hosts.write_text(yaml.safe_dump(inventory(instances)), encoding="utf-8")
    deploy, floor = playbooks(folder, build)
    deployed = played(deploy, hosts, forks)
    status = str(HERE / "playbooks" / "status.yml")
    before, taken = os.getloadavg()[0], {"floor": [], "status": []}
    for _round in range(rounds + 1):  # the first one opens connections and fills caches
        for name, playbook in (("floor", floor), ("status", status)):
            taken[name].append(played(playbook, hosts, forks))
    medians = {name: statistics.median(seconds[1:]) for name, seconds in taken.items()}
    return {
        "hosts": count,
        "instances": count * instances,
        "forks": forks,
        "deployed": round(deployed, 1),
        "rounds": {name: [round(one, 2) for one in seconds] for name, seconds in taken.items()},
        "medians": {name: round(one, 2) for name, one in medians.items()},
        "on_top": round(medians["status"] - medians["floor"], 2),
        "load": [round(before, 1), round(os.getloadavg()[0], 1)],
    }


def main() -> None:
    given = [int(word) for word in sys.argv[1:]]
    count, instances, rounds, forks = [*given, *[10, 4, 5, 5][len(given) :]]
    with tempfile.TemporaryDirectory() as folder:
        try:
            print(json.dumps(measure(Path(folder), count, instances, rounds, forks)))
        finally:
            lab("down")


if __name__ == "__main__":
    main()
