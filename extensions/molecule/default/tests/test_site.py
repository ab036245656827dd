# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What site.yml left on two hosts: `one` serves chat to everybody who has the key and embeddings to itself,
`two` serves chat to itself."""

from __future__ import annotations

import json
import os
import tarfile
import time

import pytest
import testinfra
import yaml
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import tinymodel

INVENTORY = os.environ["MOLECULE_INVENTORY_FILE"]
BUILD = os.environ["LAB_BUILD_ID"]
ROOT = "/opt/llama"
UNITS = [("one", "llama-chat"), ("one", "llama-embed"), ("two", "llama-chat")]
CHAT = {"messages": [{"role": "user", "content": "Say hello."}]}
CORE = os.path.dirname(os.path.dirname(tinymodel.__file__))
PROVE = """
import json, os
from core import tree
from core.build import smoke
here = tree.open_tree("/opt/llama", "system")
folder = here.path("builds", ".staging-lab")
os.makedirs(folder, exist_ok=True)
print(json.dumps(smoke.prove(here, os.path.realpath(here.current) + "/bin/llama-server", folder)))
"""
WORST_EXPOSURE = 2.0  # of systemd-analyze security: 10 is a unit without any protection
ASK = """
import json, sys, urllib.error, urllib.request
url, key, body = sys.argv[1:]
head = {"Content-Type": "application/json", **({"Authorization": "Bearer " + key} if key else {})}
try:
    with urllib.request.urlopen(urllib.request.Request(url, body.encode(), head), timeout=20) as answer:
        print(json.dumps([answer.status, json.load(answer)]))
except urllib.error.HTTPError as refusal:
    print(json.dumps([refusal.code, None]))
except OSError as failure:
    print(json.dumps([0, str(failure)]))
"""


@pytest.fixture(scope="module")
def lab():
    """The two hosts by name."""
    return {name: testinfra.get_host(f"ansible://{name}", ansible_inventory=INVENTORY) for name in ("one", "two")}


@pytest.fixture(params=UNITS, ids=["-".join(unit) for unit in UNITS])
def unit(lab, request):
    """A host and the name of a unit on it."""
    name, service = request.param
    return lab[name], service


@pytest.fixture(scope="module")
def address():
    with open(INVENTORY, encoding="utf-8") as file:
        return yaml.safe_load(file)["all"]["hosts"]["one"]["ansible_host"]


@pytest.fixture(scope="module")
def key(lab):
    return lab["one"].ansible.get_variables()["llama_keys"]["team"]


def ask(host, url, key="", body=None):
    """Status and answer of a request that `host` makes; status 0: nobody answered."""
    return json.loads(host.check_output("python3 -c %s %s %s %s", ASK, url, key, json.dumps(body or CHAT)))


def said(answer):
    return answer["choices"][0]["message"]["content"]


def shown(host, service, *properties):
    lines = host.check_output("systemctl show %s --property=%s", service, ",".join(properties)).splitlines()
    return dict(line.split("=", 1) for line in lines)


def main_pid(host, service):
    return int(shown(host, service, "MainPID")["MainPID"])


def boot_of(host):
    """What differs after a reboot, or nothing while there is no host. All hosts share the kernel's boot id."""
    try:
        return host.check_output("systemctl show --property=UserspaceTimestampMonotonic")
    except RuntimeError:  # no ssh
        return ""


def wait_until(met, seconds=60):
    deadline = time.monotonic() + seconds
    while not met() and time.monotonic() < deadline:
        time.sleep(0.5)
    assert met()


def test_active_and_enabled(unit):
    host, service = unit
    assert host.service(service).is_running and host.service(service).is_enabled


def test_the_unit_names_its_build_and_links_are_for_people(unit):
    host, service = unit
    assert f"{ROOT}/builds/{BUILD}/bin/llama-server" in host.check_output("systemctl cat %s", service)
    assert host.file(f"/proc/{main_pid(host, service)}/exe").linked_to == f"{ROOT}/builds/{BUILD}/bin/llama-server"
    assert host.check_output("readlink %s", f"{ROOT}/current") == f"builds/{BUILD}"
    assert host.check_output("readlink %s", f"{ROOT}/bin/llama-server") == "../current/bin/llama-server"


def test_runs_as_a_user_of_its_own_without_rights(unit):
    host, service = unit
    text = host.file(f"/proc/{main_pid(host, service)}/status").content_string
    status = {line.split(":")[0]: line.split(":")[1].split() for line in text.splitlines()}
    assert all(61184 <= int(uid) <= 65519 for uid in status["Uid"])  # the range of DynamicUser=
    assert status["NoNewPrivs"] == ["1"] and status["Seccomp"] == ["2"]
    assert all(int(status[name][0], 16) == 0 for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb"))


def test_sees_a_read_only_system_without_homes(unit):
    host, service = unit
    inside = f"nsenter --target {main_pid(host, service)} --mount -- "
    host.check_output("touch /root/of-root /tmp/of-the-host")
    assert host.check_output(inside + "ls -A /root /tmp").split() == ["/root:", "/tmp:"]
    assert "Read-only" in host.run(inside + "touch /etc/of-root /opt/llama/of-root").stderr


def test_exposure_is_low(unit):
    host, service = unit
    verdict = host.check_output("systemd-analyze security --no-pager %s", service).splitlines()[-1]
    assert float(verdict.split(":")[1].split()[0]) <= WORST_EXPOSURE


def test_a_memory_limit_is_a_limit(lab):
    assert shown(lab["one"], "llama-chat", "MemoryMax")["MemoryMax"] == str(2 << 30)


def placed(host, name):
    """State, residency and share of an instance, as llama_instance_info says them."""
    entry = host.ansible("llamaops.llama_cpp.llama_instance_info", json.dumps({"root": ROOT}), check=False)["instances"]
    return tuple(entry[name][key] for key in ("state", "residency", "share"))


def test_memory_lies_where_it_was_planned_and_the_plan_limits_it(unit):
    host, service = unit
    assert placed(host, service[len("llama-") :]) == ("ready", "verified", "100% CPU")
    facts = host.check_output("grep ^Plan= /etc/systemd/system/%s.service", service)
    ceiling = json.loads(facts.partition("=")[2])["host"]["ceiling"]
    assert shown(host, service, "MemoryMax")["MemoryMax"] in (str(ceiling), str(2 << 30))


def test_another_host_gets_an_answer_with_the_key_only(lab, address, key):
    url = f"http://{address}:8080/v1/chat/completions"
    status, answer = ask(lab["two"], url, key)
    assert (status, said(answer)) == (200, tinymodel.ANSWER)
    assert ask(lab["two"], url)[0] == 401
    assert ask(lab["two"], url, "another-key")[0] == 401


def test_loopback_instances_are_for_their_own_host(lab, address):
    assert ask(lab["one"], "http://127.0.0.1:8081/v1/embeddings", body={"input": "Hello"})[0] == 200
    assert ask(lab["two"], "http://127.0.0.1:8080/v1/chat/completions")[0] == 200
    status, reason = ask(lab["two"], f"http://{address}:8081/v1/embeddings", body={"input": "Hello"})
    assert status == 0 and "refused" in reason


def test_the_key_is_in_one_file_only(lab, key):
    host = lab["one"]
    pid = main_pid(host, "llama-chat")
    places = [
        host.check_output("ps -eww -o args"),
        host.check_output("cat /proc/%s/environ | tr '\\0' '\\n'", str(pid)),
        host.check_output("systemctl cat llama-chat"),
        host.check_output("systemctl show llama-chat"),
        host.check_output("journalctl --no-pager"),
    ]
    assert [place for place in places if key in place] == []
    holders = host.run("grep -rlF %s /etc /opt /var /run/systemd /root", key).stdout.split()
    assert [path for path in holders if not path.startswith(f"{ROOT}/keys/")] == []
    for path in holders:
        file = host.file(path)
        assert (file.user, file.mode & 0o077) == ("root", 0)
    assert holders


def test_a_benchmark_is_measured_without_rights(lab):
    arguments = {"root": ROOT, "model": "tiny", "allow_busy": True, "tests": {"n_prompt": [8], "n_gen": [4]}}
    result = lab["two"].ansible("llamaops.llama_cpp.llama_bench", json.dumps(arguments), check=False)
    assert [row["test"] for row in result["rows"]] == ["pp8", "tg4"], result


def test_a_fresh_build_is_proven_by_a_user_without_rights(lab, tmp_path):
    """The smoke test of a build, on the real service manager; hosts of the lab have no compiler."""
    archive = tmp_path / "core.tar"  # a file at a time takes minutes
    with tarfile.open(archive, "w") as packed:
        packed.add(CORE, "core", filter=lambda member: None if "__pycache__" in member.name else member)
    for host in lab.values():
        host.check_output("rm -rf /root/prove && mkdir /root/prove")
        unpack = {"src": str(archive), "dest": "/root/prove"}
        host.ansible("ansible.builtin.unarchive", json.dumps(unpack), check=False)
        assert json.loads(host.check_output("cd /root/prove && python3 -c %s", PROVE))["answer"] == tinymodel.ANSWER


def test_variables_of_the_service_manager_do_not_go_unnoticed(lab):
    """What `systemctl set-environment` plants reaches every unit; the next run names it."""
    host = lab["two"]
    wanted = {"root": ROOT, "instances": [{"name": "chat", "model": "tiny", "port": 8080}]}
    host.check_output("systemctl set-environment LLAMA_ARG_N_PREDICT=3")
    try:
        host.check_output("systemctl restart llama-chat")
        said = host.ansible("llamaops.llama_cpp.llama_instance", json.dumps(wanted), check=False)
        assert "LLAMA_ARG_N_PREDICT, which its unit does not show" in said["msg"]
    finally:
        host.check_output("systemctl unset-environment LLAMA_ARG_N_PREDICT && systemctl restart llama-chat")
    assert host.ansible("llamaops.llama_cpp.llama_instance", json.dumps(wanted), check=False)["changed"] is False


def test_survives_a_kill(lab):
    host = lab["two"]
    old = main_pid(host, "llama-chat")
    host.check_output("kill -KILL %s", str(old))
    wait_until(lambda: main_pid(host, "llama-chat") not in (0, old) and host.service("llama-chat").is_running)
    assert said(ask(host, "http://127.0.0.1:8080/v1/chat/completions")[1]) == tinymodel.ANSWER
    assert placed(host, "chat") == ("ready", "verified", "100% CPU")


def test_survives_a_reboot(lab, address, key):
    host = lab["one"]
    before = boot_of(host)
    host.run("systemd-run --on-active=1 systemctl reboot")  # by a timer, so that this command can still return
    wait_until(lambda: boot_of(host) not in ("", before))
    wait_until(lambda: ask(lab["two"], f"http://{address}:8080/v1/chat/completions", key)[0] == 200)
    assert host.service("llama-chat").is_running and host.service("llama-embed").is_running
    assert placed(host, "chat") == ("ready", "verified", "100% CPU")
