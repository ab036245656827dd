# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of this scenario do on hosts."""

from __future__ import annotations

import contextlib
import json
import time

ROOT = "/opt/llama"
KEY = "a-key-for-the-lab-only"
# one instance of every mode and of every kind of endpoint: host, name, kind, port
INSTANCES = [
    ("one", "chat", "server", 8080),
    ("one", "embed", "embedding", 8081),
    ("two", "chat", "server", 8080),
    ("two", "rerank", "rerank", 8083),
    ("two", "router", "router", 8084),
    ("two", "eyes", "server", 8086),
    ("two", "lora", "server", 8087),
    ("two", "draft", "server", 8088),
    ("two", "ranker", "transformers", 8089),
    ("two", "tls", "server", 8085),
    ("two", "sock", "server", 0),
]
CERTIFICATE = "/etc/ssl/llama/cert.pem"
SOCKET = "/run/llama-sock/llama.sock"
QUICK_TIMER = "[Timer]\nOnActiveSec=\nOnActiveSec=1\nOnUnitInactiveSec=1\nAccuracySec=100ms\n"
TOKEN = """
import json, sys, urllib.error, urllib.request
url, key = sys.argv[1:]
head = {"Content-Type": "application/json", **({"Authorization": "Bearer " + key} if key else {})}
body = json.dumps({"prompt": "Hello", "n_predict": 1}).encode()
try:
    with urllib.request.urlopen(urllib.request.Request(url + "/completion", body, head), timeout=5) as answer:
        print(answer.status)
except urllib.error.HTTPError as refusal:
    print(refusal.code)
except OSError:
    print(0)
"""
# seconds from a signal to the main process of a unit until the next token, measured on the host itself
CURE = """
import json, os, signal, subprocess, sys, time, urllib.request
url, key, name, unit = sys.argv[1:]
head = {"Content-Type": "application/json", **({"Authorization": "Bearer " + key} if key else {})}
def token():
    body = json.dumps({"prompt": "Hello", "n_predict": 1}).encode()
    request = urllib.request.Request(url + "/completion", body, head)
    try:
        return urllib.request.urlopen(request, timeout=1).status == 200
    except OSError:
        return False
pid = int(subprocess.check_output(["systemctl", "show", "--property=MainPID", "--value", unit]))
began = time.monotonic()
os.kill(pid, getattr(signal, name))
time.sleep(0.02)
while not token() and time.monotonic() - began < 150:
    time.sleep(0.02)
print(round(time.monotonic() - began, 2))
"""


def served(host, port=8080, key=""):
    """The status of a request for one token; 0 when nobody answers."""
    return int(host.check_output("python3 -c %s %s %s", TOKEN, f"http://127.0.0.1:{port}", key))


def cured(host, signal, unit="llama-chat", port=8080, key=""):
    """Seconds from a signal until the next token."""
    return float(host.check_output("python3 -c %s %s %s %s %s", CURE, f"http://127.0.0.1:{port}", key, signal, unit))


def url_of(name, port):
    """Where an instance answers on its own host."""
    if name == "sock":
        return f"unix:{SOCKET}"
    return f"https://127.0.0.1:{port}#{CERTIFICATE}" if name == "tls" else f"http://127.0.0.1:{port}"


def probe(host, name, kind, port, key=True):
    """What the installed probe says of the work of its kind: `{ok, ...}`. A router answers for the models it loads."""
    file = f"{ROOT}/keys/{name}"
    words = f"{ROOT}/libexec/llama-probe {url_of(name, port)} --kind {kind} --timeout 5"
    said = host.run(f"test -e {file} && K='--key-file {file}'; {words} $K" if key else words).stdout
    found = json.loads(said or '{"ok": false}')
    return {**found, "ok": found["ok"] and found.get("models") != {}}


def answers(*instance):
    return probe(*instance)["ok"]


def reason(host, name="chat"):
    return module(host, "llama_log_info", names=[name], since="start")["logs"][name]["reason"]


@contextlib.contextmanager
def quick_watchdog(host, name="chat"):
    """The watchdog of an instance with an interval and deadlines of seconds."""
    text = host.check_output("cat %s", f"/etc/systemd/system/llama-watchdog@{name}.service").replace("\\\n", "")
    command = [line for line in text.splitlines() if line.startswith("ExecStart=")][0]
    timer, service = f"llama-watchdog@{name}.timer", f"llama-watchdog@{name}.service"
    undo = [drop_in(host, timer, QUICK_TIMER)]
    undo.append(drop_in(host, service, f"[Service]\nExecStart=\n{command} --timeout 1 --pause 1\n"))
    host.check_output("systemctl restart %s", timer)
    try:
        yield
    finally:
        for step in undo:
            step()
        host.check_output("systemctl restart %s", timer)


def shown(host, unit, *properties):
    """Properties of a unit as systemd says them."""
    lines = host.check_output("systemctl show %s --property=%s", unit, ",".join(properties)).splitlines()
    return dict(line.split("=", 1) for line in lines)


def pid_of(host, unit="llama-chat"):
    return int(shown(host, unit, "MainPID")["MainPID"])


def wait_until(met, seconds=60.0):
    """Until it is met; returns the seconds that took."""
    began = time.monotonic()
    while not met():
        assert time.monotonic() - began < seconds
        time.sleep(0.3)
    return time.monotonic() - began


def definitions(host):
    """The instances of a host as its inventory has them, for the module."""
    variables = host.ansible.get_variables()
    entries = [{"name": name, **entry} for name, entry in variables["llama_instances"].items()]
    keys = variables.get("llama_keys", {})
    given = {name: value for name, value in keys.items() if value != "generate"}
    return {"root": ROOT, "instances": entries, "keys": given, "made_keys": sorted(set(keys) - set(given))}


def module(host, name, **arguments):
    return host.ansible(f"llamaops.llama_cpp.{name}", json.dumps({"root": ROOT, **arguments}), check=False)


def converge(host, name="chat", **changes):
    """Bring one instance of a host to its definition with these changes."""
    wanted = definitions(host)
    item = {**next(item for item in wanted["instances"] if item["name"] == name), **changes}
    return module(host, "llama_instance", **{**wanted, "instances": [item]})


def drop_in(host, unit, text):
    """Override lines of a unit until the test is over; returns what removes them again."""
    folder = f"/run/systemd/system/{unit}.d"
    host.check_output("mkdir -p %s && printf %%s %s > %s/test.conf && systemctl daemon-reload", folder, text, folder)
    return lambda: host.check_output("rm -r %s && systemctl daemon-reload", folder)


def put(host, path, text, mode="0644"):
    host.check_output("printf %%s %s > %s && chmod %s %s", text, path, mode, path)


def kill(host, unit="llama-chat"):
    """Kill the main process of a unit, which may be gone already; returns the process that was there."""
    old = pid_of(host, unit)
    host.check_output("systemctl kill --signal=SIGKILL %s", unit)
    return old


def journal(host, name):
    return host.check_output("journalctl --unit %s --output=cat --no-pager", name)
