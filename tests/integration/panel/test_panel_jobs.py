# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs of the panel as real runs of the collection's playbooks: ended early, orphaned, queued, failed half-way."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput, Prerequisite
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.host import process
from ansible_runs import COLLECTIONS, REPOSITORY
from llamaops_panel.changes.changes import Changes
from llamaops_panel.jobs import processes
from llamaops_panel.jobs.jobs import Jobs
from llamaops_panel.store import Store

PANEL = REPOSITORY / "panel"


@dataclass
class Host:
    groups: tuple[str, ...]
    variables: dict


@pytest.fixture(autouse=True)
def ansible_here(monkeypatch, tmp_path):
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(COLLECTIONS))
    monkeypatch.setenv("ANSIBLE_HOME", str(tmp_path / "ansible"))
    monkeypatch.setenv("PYTHONPATH", f"{COLLECTIONS}:{PANEL}")


@pytest.fixture
def site_of(tmp_path):
    """`site_of(hosts)` writes an inventory and gives its folder."""

    def write(hosts, **variables):
        (tmp_path / "inventory").mkdir(exist_ok=True)
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        found = {"all": {"hosts": {name: {**local, **own} for name, own in hosts.items()}, "vars": variables}}
        (tmp_path / "inventory" / "hosts.yml").write_text(json.dumps(found))
        return tmp_path

    return write


@pytest.fixture
def silent(site_of):
    """The folder of an inventory with one host that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        mute = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": port}
        yield site_of({"mute": mute}, ansible_timeout=60, llama_root="/nowhere")


@contextlib.asynccontextmanager
async def panel(folder, hosts=("mute",), **more):
    store = Store(folder / "state" / "panel.db")
    store.database.open()
    jobs = Jobs(folder / "state" / "jobs", store.jobs, ["inventory/hosts.yml"], folder, lambda: hosts, **more)
    await jobs.start()
    try:
        yield jobs
    finally:
        await jobs.stop()
        store.database.close()


async def until(jobs, job, kind):
    """The first event of a kind."""
    async with asyncio.timeout(60):
        async for event in jobs.events(job.id):
            if event["kind"] == kind:
                return event
    raise AssertionError(f"no {kind}")


async def ended(jobs, job):
    """The job when it is over, and all of its events."""
    async with asyncio.timeout(240):
        events = [event async for event in jobs.events(job.id)]
        while jobs.get(job.id).open:
            await asyncio.sleep(0.05)
    assert [event["counter"] for event in events] == list(range(1, len(events) + 1)), "events are missing"
    return jobs.get(job.id), events


def left(folder):
    """Processes of the jobs that still run."""
    return [pid for pid in process.pids() if any(str(folder) in word for word in process.arguments(pid))]


def test_a_cancelled_job_ends_soon_and_says_what_was_at_work(silent):
    async def story():
        async with panel(silent) as jobs:
            job = await jobs.submit("deploy", ["mute"], {}, check=False, by="ann")
            await until(jobs, job, "task")
            await asyncio.sleep(3)
            await jobs.cancel(job.id, "bob")
            began = time.monotonic()
            job, events = await ended(jobs, job)
            assert job.state == "cancelled" and time.monotonic() - began < 15
            assert "Cancelled by bob." in job.summary and "Look for a cordon on mute" in job.summary
            assert events[-1]["kind"] == "end"
            await jobs.cancel(job.id, "bob")

    asyncio.run(story())
    time.sleep(1)
    assert left(silent) == []


def test_one_change_a_host_and_checks_beside_it(silent):
    async def story():
        async with panel(silent) as jobs:
            first = await jobs.submit("deploy", ["mute"], {}, check=False, by="ann")
            second = await jobs.submit("recover", ["mute"], {}, check=False, by="bob")
            beside = await jobs.submit("deploy", ["mute"], {}, check=True, by="bob")
            assert [jobs.get(job.id).state for job in (first, second, beside)] == ["running", "queued", "running"]
            assert jobs.waits_for(second.id) == [first.id]
            await until(jobs, first, "task")
            for job in (second, beside, first):
                await jobs.cancel(job.id, "ann")
            assert jobs.get(second.id).summary == "Cancelled by ann before it began; nothing was done."
            assert [event["kind"] async for event in jobs.events(second.id)] == ["end"]
            await ended(jobs, first)
            await ended(jobs, beside)
            assert [job.id for job in jobs.list(limit=2)] == [beside.id, second.id]
            assert [job.id for job in jobs.list(limit=2, before=second.id)] == [first.id]

    asyncio.run(story())


DRIVER = """
import asyncio, sys
from pathlib import Path
from llamaops_panel.jobs.jobs import Jobs
from llamaops_panel.store import Store

async def main(folder):
    store = Store(folder / "state" / "panel.db")
    store.database.open()
    jobs = Jobs(folder / "state" / "jobs", store.jobs, ["inventory/hosts.yml"], folder, lambda: ["mute"])
    await jobs.start()
    job = await jobs.submit("deploy", ["mute"], {}, check=False, by="ann")
    async for event in jobs.events(job.id):
        if event["kind"] == "task":
            print(job.id, flush=True)
            await asyncio.sleep(600)

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.fixture
def orphaned(silent):
    """A panel that was killed in the middle of a job; its folder and the id of the job, which fails after 5 s."""
    inventory = silent / "inventory" / "hosts.yml"
    inventory.write_text(inventory.read_text().replace('"ansible_timeout": 60', '"ansible_timeout": 5'))
    with subprocess.Popen([sys.executable, "-c", DRIVER, str(silent)], stdout=subprocess.PIPE, text=True) as driver:
        job_id = driver.stdout.readline().strip()
        driver.send_signal(signal.SIGKILL)
    assert job_id
    return silent, job_id


@pytest.mark.parametrize("ends", ["later", "meanwhile"])
def test_a_killed_panel_finds_its_job_again_with_every_event(orphaned, ends):
    folder, job_id = orphaned
    runner = processes.claimed(folder / "state" / "jobs" / job_id / "process.json")
    assert runner.alive and os.getsid(runner.pid) == runner.pid
    while ends == "meanwhile" and runner.alive:
        time.sleep(0.2)

    async def story():
        async with panel(folder) as jobs:
            assert jobs.get(job_id).state == "running"
            job, events = await ended(jobs, jobs.get(job_id))
            assert (job.state, job.rc) == ("failed", 4) and job.recap["mute"]["unreachable"] == 1
            assert [event["kind"] for event in events if event["kind"] in ("unreachable", "end")] == [
                "unreachable",
                "end",
            ]
            again = [event["counter"] async for event in jobs.events(job_id, after=2)]
            assert again == list(range(3, len(events) + 1))

    asyncio.run(story())


def test_a_job_whose_process_was_killed_is_lost_and_says_so(silent):
    async def story():
        async with panel(silent) as jobs:
            job = await jobs.submit("deploy", ["mute"], {}, check=False, by="ann")
            await until(jobs, job, "task")
            runner = processes.claimed(silent / "state" / "jobs" / job.id / "process.json")
            below = processes.below(runner.pid)
            processes.kill([runner, *below])
            job, events = await ended(jobs, job)
            assert job.state == "lost" and "nobody knows how it ended" in job.summary
            assert events[-1]["state"] == "lost"

    asyncio.run(story())


def test_a_folder_that_cannot_be_written_is_said_before_anything_runs(silent):
    (silent / "state").mkdir()
    (silent / "state" / "jobs").write_text("in the way")

    async def story():
        async with panel(silent) as jobs:
            with pytest.raises(Prerequisite, match="cannot be written"):
                await jobs.submit("deploy", ["mute"], {}, check=False, by="ann")
            assert jobs.list() == []
            with pytest.raises(InvalidInput, match="no host of the inventory"):
                await jobs.submit("deploy", ["all"], {}, check=False, by="ann")

    asyncio.run(story())


def test_nothing_secret_stays_in_the_folder_of_a_job_and_old_jobs_go(silent, monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "a-planted-secret")
    inventory = silent / "inventory" / "hosts.yml"
    inventory.write_text(inventory.read_text().replace('"ansible_timeout": 60', '"ansible_timeout": 2'))

    async def story():
        async with panel(silent, keep=1) as jobs:
            made = []
            for _number in range(2):
                made.append(await jobs.submit("deploy", ["mute"], {}, check=True, by="ann"))
                await ended(jobs, made[-1])
            await asyncio.sleep(0.5)
            assert [path.name for path in (silent / "state" / "jobs").iterdir()] == [made[1].id]

    asyncio.run(story())
    texts = [path.read_bytes() for path in (silent / "state").rglob("*") if path.is_file()]
    assert texts and not any(b"a-planted-secret" in text for text in texts)


def test_an_instance_from_the_first_preview_to_its_deletion(site_of, instance_root, port):
    """Two hosts of which one has no runtime root: the deployment fails half-way and says who has what."""
    mine = {"llama_scope": "user", "llama_manager": "supervisor", "llama_models": {"tiny": {"source": "builtin:tiny"}}}
    folder = site_of(
        {"alpha": {"llama_root": str(instance_root)}, "beta": {"llama_root": str(instance_root / "x" / "y")}}, **mine
    )
    known = {name: Host(("all",), mine) for name in ("alpha", "beta")}
    changes = Changes(["inventory/hosts.yml"], lambda: known, project=folder)
    entry = {"model": "tiny", "port": port}

    async def story():
        async with panel(folder, hosts=("alpha", "beta")) as jobs:

            async def run(op, hosts=("alpha",), check=False, **given):
                return await ended(jobs, await jobs.submit(op, hosts, given, check=check, by="ann"))

            proposal = changes.propose("alpha", "chat", entry, "")
            job, events = await run("deploy", check=True, instance=["chat"], **proposal.preview)
            assert job.state == "succeeded" and job.summary == "Would change alpha."
            assert any("ExecStart" in event.get("diff", "") or "command" in event.get("diff", "") for event in events)
            with pytest.raises(InvalidInput, match="can only be checked"):
                await jobs.submit("deploy", ["alpha"], dict(proposal.preview), check=False, by="ann")
            changes.write(proposal, "ann")
            changes.write(changes.propose("beta", "chat", entry, ""), "ann")
            job, _events = await run("deploy", hosts=("alpha", "beta"))
            assert job.state == "failed" and job.rc == 2
            assert job.summary.startswith("beta: ") and job.summary.endswith("Changed: alpha. As before: beta.")
            assert answers(port)
            job, _events = await run("stop", instance=["chat"])
            assert job.state == "succeeded" and not answers(port)
            job, _events = await run("start", instance=["chat"])
            assert job.state == "succeeded" and answers(port)
            job, _events = await run("delete", instance=["chat"])
            assert job.state == "failed" and "remove it there first" in job.summary and answers(port)
            gone = changes.propose("alpha", "chat", None, changes.instances("alpha")["chat"].revision)
            job, _events = await run("delete", check=True, instance=["chat"], **gone.preview)
            assert job.state == "succeeded" and answers(port)
            changes.write(gone, "ann")
            job, _events = await run("delete", instance=["chat"])
            assert job.state == "succeeded" and not answers(port)

    asyncio.run(story())


def answers(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
