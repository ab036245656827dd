# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances on a socket and behind TLS: who reaches them, how they are watched, and what else speaks of them."""

from __future__ import annotations

import json

import pytest
from hosts import (
    CERTIFICATE,
    KEY,
    ROOT,
    SOCKET,
    answers,
    converge,
    journal,
    module,
    pid_of,
    quick_watchdog,
    shown,
    wait_until,
)

TLS, SOCK = ("tls", "server", 8085), ("sock", "server", 0)
LOOK = f"{ROOT}/libexec/llama-probe %s --look"
# an answer over TLS as a client of another host sees it, which has the certificate
ACROSS = """
import json, ssl, sys, urllib.error, urllib.request
address, key, plain = sys.argv[1:]
context = ssl.create_default_context(cafile="/root/two.pem")
context.check_hostname = False
body = json.dumps({"prompt": "Hello", "n_predict": 1}).encode()
url = f"{'http' if plain == 'plain' else 'https'}://{address}:8085/completion"
request = urllib.request.Request(url, body, {"Authorization": "Bearer " + key})
try:
    print(urllib.request.urlopen(request, timeout=10, context=context).status)
except urllib.error.HTTPError as refusal:
    print(refusal.code)
except (OSError, ValueError):
    print(0)
"""


@pytest.mark.parametrize(("name", "url"), [("tls", "https://two:8085"), ("sock", f"unix:{SOCKET}")])
def test_it_is_ready_where_it_says_it_is(two, name, url):
    found = module(two, "llama_instance_info", names=[name])["instances"][name]
    assert (found["state"], found["health"], found["endpoint"]) == ("ready", "ready", url)
    again = converge(two, name)
    assert (again["changed"], again["instances"][name]["endpoint"]) == (False, url)


def test_another_host_needs_the_certificate_and_the_key(one, two):
    address = two.check_output("hostname -I").split()[0]
    one.check_output("printf %%s %s > /root/two.pem", two.check_output("cat %s", CERTIFICATE))
    said = [
        int(one.check_output("python3 -c %s %s %s %s", ACROSS, address, key, how))
        for key, how in ((KEY, "tls"), ("another-key", "tls"), (KEY, "plain"))
    ]
    assert said == [200, 401, 0]


def test_the_private_key_stays_with_root_and_the_server_gets_it(two):
    argv = two.check_output("tr '\\0' ' ' < /proc/%s/cmdline", str(pid_of(two, "llama-tls")))
    assert f"--ssl-cert-file {CERTIFICATE} --ssl-key-file /run/credentials/llama-tls.service/tls-key" in argv
    file = two.file("/etc/ssl/llama/key.pem")
    assert (file.user, file.mode & 0o077) == ("root", 0)


def test_a_probe_without_the_certificate_trusts_nobody(two):
    assert json.loads(two.run(LOOK, "https://127.0.0.1:8085").stdout)["state"] == "unreachable"
    assert json.loads(two.run(LOOK, f"https://127.0.0.1:8085#{CERTIFICATE}").stdout)["state"] == "ready"


def test_a_socket_lies_in_a_folder_of_its_instance_and_opens_no_port(two):
    folder = two.file("/run/llama-sock")
    assert (folder.is_directory, folder.mode & 0o022) == (True, 0)
    assert two.file(SOCKET).is_socket
    assert "sock" in two.check_output("cat %s", f"/proc/{pid_of(two, 'llama-sock')}/cmdline")
    listening = two.check_output("ss --no-header --numeric --listening --tcp --processes")
    assert f"pid={pid_of(two, 'llama-sock')}," not in listening


def test_whoever_may_reach_loopback_may_reach_the_socket_and_needs_the_key(two):
    ask = f"runuser -u nobody -- {ROOT}/libexec/llama-probe unix:{SOCKET} %s"
    assert json.loads(two.run(ask, "--look").stdout)["state"] == "ready"
    assert json.loads(two.run(ask, "--kind=server").stdout)["status"] == 401


@pytest.mark.parametrize("name", ["tls", "sock"])
def test_its_watchdog_sees_that_it_is_well(two, name):
    """As root without the rights of root, which is what a watchdog is."""
    before = pid_of(two, f"llama-{name}")
    two.check_output("rm -f %s", f"/run/llama-watchdog/llama-watchdog-{name}.json")
    two.check_output("systemctl start %s", f"llama-watchdog@{name}.service")
    seen = json.loads(two.check_output("cat %s", f"/run/llama-watchdog/llama-watchdog-{name}.json"))
    assert (seen["pid"], seen["cures"], seen["token_at"] is not None) == (before, 0, True)


@pytest.mark.parametrize("instance", [TLS, SOCK], ids=["tls", "sock"])
def test_its_watchdog_ends_it_when_it_hangs(two, instance):
    unit, old = f"llama-{instance[0]}", pid_of(two, f"llama-{instance[0]}")
    with quick_watchdog(two, instance[0]):
        two.check_output("kill -STOP %s", str(old))
        wait_until(lambda: pid_of(two, unit) not in (0, old) and answers(two, *instance), 140)
    assert '"verdict": "cured"' in journal(two, f"llama-watchdog@{instance[0]}")
    assert shown(two, unit, "ActiveState")["ActiveState"] == "active"


@pytest.mark.parametrize("name", ["tls", "sock"])
def test_it_cannot_stand_behind_a_front_and_nothing_is_changed(two, name):
    before = pid_of(two, f"llama-{name}")
    refused = converge(two, name, front={"port": 18085})
    assert "which reaches it by plain HTTP on this host" in refused["msg"]
    assert pid_of(two, f"llama-{name}") == before
