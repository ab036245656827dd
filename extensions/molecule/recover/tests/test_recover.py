# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host after an accident, and servers that somebody started by hand. The tests run the playbooks themselves."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
import yaml
from hosts import BUILD, INVENTORY, LAB_SH, ended, play, sh, start, wait_until

ROOT, UNITS = "/opt/llama", "/etc/systemd/system"
SERVER = f"{ROOT}/builds/{BUILD}/bin/llama-server"
KEY = "a-key-of-somebody-else"
ANSWER = 3  # seconds that one answer takes, by the speed that was measured before
# asks for answers as streams, one after the other, until it is told to stop; says what came of each, when, and how fast
STREAM = """
import json, os, sys, time, urllib.request
body = {"prompt": "Hello", "n_predict": int(sys.argv[1]), "ignore_eos": True, "stream": True}
head = {"Authorization": "Bearer " + sys.argv[2], "Content-Type": "application/json"}
asked = urllib.request.Request("http://127.0.0.1:8090/completion", json.dumps(body).encode(), head)
answers = []
while not answers or not os.path.exists("/run/enough"):
    began, last = time.monotonic(), {}
    with urllib.request.urlopen(asked, timeout=300) as answer:
        for line in answer:
            if line.startswith(b"data: "):
                last = json.loads(line[6:])
                open("/run/streaming", "w").close()
    speed = last["timings"]["predicted_per_second"]
    answers.append([last.get("stop"), last.get("tokens_predicted"), speed, began, time.monotonic()])
print(json.dumps(answers))
"""


def info(host):
    argv = ["ansible", host, "-i", INVENTORY, "-m", "llamaops.llama_cpp.llama_instance_info", "-a", f"root={ROOT}"]
    output = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return json.loads(output[output.index("{") :])


def shown(host, unit, name):
    return sh(host, "systemctl", "show", unit, f"--property={name}", "--value")


def pid_of(host, unit):
    return int(shown(host, unit, "MainPID"))


def argv_of(host, pid):
    return sh(host, "cat", f"/proc/{pid}/cmdline").split("\0")[:-1]


def by_hand(*more, before=()):
    """Start a server on `two` as a person would; its process when it is ready."""
    words = [*before, SERVER, "-m", "builtin/tiny.gguf", "--port", "8090", *more]
    sh("two", "bash", "-c", f"(cd {ROOT}/models && exec setsid {' '.join(words)}) </dev/null >/run/by-hand.log 2>&1 &")
    ready = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8090/health', timeout=2)"
    wait_until(lambda: sh("two", "python3", "-c", ready + "; print('ready')", check=False) == "ready")
    return int(sh("two", "pgrep", "-x", "llama-server"))


# ---------------------------------------------------------------- recovery, on `one`


def test_a_host_in_order_is_left_alone():
    pids = [pid_of("one", f"llama-{name}") for name in ("chat", "embed")]
    output, changed = play("recover", "one")
    assert changed == 0, output
    assert pids == [pid_of("one", f"llama-{name}") for name in ("chat", "embed")]


def test_everything_comes_back_and_what_serves_is_not_restarted():
    chat, embed = (pid_of("one", f"llama-{name}") for name in ("chat", "embed"))
    files = ("llama-chat.service", "llama-watchdog@chat.timer", "llama-watchdog@chat.service", "llama-embed.service")
    before = {name: sh("one", "cat", f"{UNITS}/{name}") for name in files}
    sh("one", "bash", "-ec", f"""
        rm {UNITS}/llama-* {UNITS}/multi-user.target.wants/llama-*
        systemctl daemon-reload
        systemctl kill --signal=KILL llama-embed
        rm -r {ROOT}/instances {ROOT}/keys/*
        rm {ROOT}/current && ln -s builds/not-there {ROOT}/current
        mkdir -p {ROOT}/builds/.staging-half-1/bin {ROOT}/builds/0.0.1-0000000-cpu-00000000/bin
    """)  # fmt: skip
    wait_until(lambda: shown("one", "llama-embed", "ActiveState") != "active")
    play("recover", "one")
    assert pid_of("one", "llama-chat") == chat
    assert pid_of("one", "llama-embed") not in (0, embed)
    assert {name: sh("one", "cat", f"{UNITS}/{name}") for name in files} == before
    assert sh("one", "systemctl", "is-enabled", "llama-chat", "llama-embed").split() == ["enabled", "enabled"]
    assert sh("one", "systemctl", "is-active", "llama-watchdog@chat.timer") == "active"
    assert sh("one", "readlink", f"{ROOT}/current") == f"builds/{BUILD}"
    found = info("one")
    assert found["without_process"] == []
    assert [(item["pid"], item["instance"]) for item in found["processes"] if item["pid"] == chat] == [(chat, "chat")]
    for playbook in ("recover", "deploy"):  # nor does a later run restart it
        output, changed = play(playbook, "one")
        assert changed == 0, output
    assert pid_of("one", "llama-chat") == chat


# ---------------------------------------------------------------- adoption, on `two`


@pytest.fixture(scope="module")
def adopted():
    """A server that was adopted by two runs at once, in the middle of an answer: all that was seen."""
    pid = by_hand("-c", "512", "-np", "1", "--context-shift", "--api-key", KEY)
    sh("two", "touch", "/run/enough")
    speed = json.loads(sh("two", "python3", "-c", STREAM, "100", KEY))[0][2]
    sh("two", "rm", "/run/enough", "/run/streaming")
    tokens = int(speed * ANSWER)
    entry = next(item for item in info("two")["processes"] if item["pid"] == pid)
    argv = [LAB_SH, "sh", "two", "python3", "-c", STREAM, str(tokens), KEY]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as stream:
        try:
            wait_until(lambda: sh("two", "ls", "/run/streaming", check=False))
            instances = yaml.safe_load(entry["yaml"])
            runs = [start("deploy", "two", llama_instances=instances, llama_keys={}) for _run in range(2)]
            outputs = [ended(run) for run in runs]
        finally:
            sh("two", "touch", "/run/enough")
        answers = json.loads(stream.communicate(timeout=300)[0])
    (name,) = instances
    since = int(shown("two", f"llama-{name}.scope", "ActiveEnterTimestampMonotonic")) / 1e6
    return {"pid": pid, "found": entry, "instances": instances, "name": name, "outputs": outputs,
            "tokens": tokens, "answers": answers, "since": since}  # fmt: skip


def test_the_answer_goes_on_to_its_end(adopted):
    assert adopted["found"]["belongs"] == "foreign"
    across = [began < adopted["since"] < end for *_result, began, end in adopted["answers"]]
    assert any(across), "it was adopted between two answers, which proves nothing"
    assert all(answer[:2] == [True, adopted["tokens"]] for answer in adopted["answers"])
    assert adopted["pid"] == int(sh("two", "pgrep", "-x", "llama-server"))


def test_two_runs_adopt_it_once(adopted):
    assert sorted(changed for _output, changed in adopted["outputs"]) == [0, 1]
    output = "".join(output for output, _changed in adopted["outputs"])
    assert KEY not in output and "do not count against its limit" in output
    scope = f"llama-{adopted['name']}.scope"
    assert f"/{scope}\n" in sh("two", "cat", f"/proc/{adopted['pid']}/cgroup") + "\n"
    ceiling = int(shown("two", scope, "MemoryMax"))
    assert ceiling == int(
        re.search(r"^MemoryMax=(\d+)", sh("two", "systemctl", "cat", f"llama-{adopted['name']}"), re.M)[1]
    )
    assert sh("two", "cat", f"{ROOT}/keys/{adopted['name']}") == KEY


def test_a_later_run_changes_nothing_and_info_shows_it(adopted):
    output, changed = play("deploy", "two", llama_instances=adopted["instances"], llama_keys={})
    assert changed == 0, output
    found = info("two")
    shows = found["instances"][adopted["name"]]
    assert (shows["adopted"], shows["state"], shows["pid"]) == (True, "ready", adopted["pid"])
    assert [item["belongs"] for item in found["processes"]] == ["adopted"]


def test_the_next_planned_restart_makes_it_a_unit_with_the_same_command(adopted):
    service = f"llama-{adopted['name']}"
    play(
        "deploy", "two", llama_instances=adopted["instances"], llama_keys={}, llama_instances_restart=[adopted["name"]]
    )
    pid = pid_of("two", service)
    argv = argv_of("two", pid)
    flags = dict(zip(argv, argv[1:]))
    wanted = {"--model": f"{ROOT}/models/builtin/tiny.gguf", "--port": "8090", "--ctx-size": "512", "--parallel": "1"}
    assert {flag: flags.get(flag) for flag in wanted} == wanted
    assert "--context-shift" in argv and KEY not in argv
    assert sh("two", "systemctl", "is-active", f"{service}.scope", check=False) != "active"
    output, changed = play("deploy", "two", llama_instances=adopted["instances"], llama_keys={})
    assert changed == 0 and pid_of("two", service) == pid, output


def test_a_server_of_another_user_needs_force_and_its_unit_takes_over_when_it_dies(adopted):
    service = f"llama-{adopted['name']}"
    sh("two", "systemctl", "stop", service, check=False)
    pid = by_hand(before=("setpriv", "--reuid=nobody", "--regid=llama-models", "--clear-groups"))
    instances = {adopted["name"]: {"model": "tiny", "port": 8090, "adopt": True}}
    output, _changed = play("deploy", "two", rc=2, llama_instances=instances)
    assert "it runs as nobody" in output
    instances[adopted["name"]]["adopt"] = "force"
    play("deploy", "two", llama_instances=instances)
    assert sh("two", "systemctl", "is-active", f"{service}.scope") == "active"
    sh("two", "kill", "-KILL", str(pid))
    wait_until(lambda: shown("two", service, "ActiveState") == "active")
    assert pid_of("two", service) not in (0, pid)


def test_a_server_of_another_service_is_external_and_left_to_it(adopted):
    service = f"llama-{adopted['name']}"
    sh("two", "systemctl", "stop", service, check=False)
    unit = f"[Service]\nExecStart={SERVER} -m {ROOT}/models/builtin/tiny.gguf --port 8090\n"
    sh(
        "two",
        "bash",
        "-c",
        f"printf '{unit}' >/run/systemd/system/other.service; systemctl daemon-reload; systemctl start other",
    )
    wait_until(lambda: sh("two", "ss", "-Hltn", "sport = :8090"))
    pid = pid_of("two", "other")
    wait_until(
        lambda: [item for item in info("two")["processes"] if (item["pid"], item["belongs"]) == (pid, "external")]
    )
    instances = {adopted["name"]: {"model": "tiny", "port": 8090, "adopt": True}}
    output, changed = play("deploy", "two", llama_instances=instances)
    assert changed == 0 and "keeps it: external" in output
    assert (pid_of("two", "other"), shown("two", service, "ActiveState")) == (pid, "inactive")
