# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of this scenario do on hosts."""

from __future__ import annotations

import json
import time

ROOT = "/opt/llama"
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


def converge(host, **changes):
    """Bring one instance of a host to its definition with these changes."""
    wanted = definitions(host)
    chat = {**next(item for item in wanted["instances"] if item["name"] == "chat"), **changes}
    return module(host, "llama_instance", **{**wanted, "instances": [chat]})


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
