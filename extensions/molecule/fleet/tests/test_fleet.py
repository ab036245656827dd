# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One table, entries that left the inventory, and a host out of service over a reboot."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time

CHAT = {"model": "tiny", "port": 8080, "bind": "public", "keys": ["team"], "metrics": True}
# a long answer; how many tokens it had
STREAM = """
import json, urllib.request
head = {"Content-Type": "application/json", "Authorization": "Bearer a-key-for-the-lab-only"}
body = json.dumps({"prompt": "Hello", "n_predict": 6000, "ignore_eos": True}).encode()
request = urllib.request.Request("http://127.0.0.1:8080/completion", body, head)
with urllib.request.urlopen(request, timeout=100) as answer:
    open("/root/answer", "w").write(str(json.load(answer)["tokens_predicted"]))
"""


def unit(host, name):
    return host.run("systemctl is-active %s", f"llama-{name}").stdout.strip()


def test_the_table_shows_what_is_proven(rows, tmp_path):
    rc, found, output = rows()
    assert rc == 0, output
    assert sorted(found) == [("one", "chat"), ("one", "embed"), ("two", "chat")]
    assert {row["state"] for row in found.values()} == {"ready"}
    assert {row["residency"] for row in found.values()} == {"verified"}
    assert found["one", "chat"]["tokens_per_second"] > 0 and found["two", "chat"]["memory"]["actual"] > 0
    target = json.loads((tmp_path / "prometheus.json").read_text())[0]
    assert target["targets"][0].endswith(":8080") and target["labels"]["llama_host"] == "one"
    assert "os.environ/LLAMA_KEY_TEAM" in (tmp_path / "litellm.yaml").read_text()
    assert "server one:chat" in (tmp_path / "haproxy.cfg").read_text()


def test_json_has_the_same_rows(play):
    done = play("status", "--limit", "two", format="json")
    text = done.output[done.output.index("=> {") + 3 :]
    (row,) = json.JSONDecoder().raw_decode(text)[0]["msg"]
    assert (row["host"], row["instance"], row["state"]) == ("two", "chat", "ready")


def test_a_host_out_of_reach_and_a_silent_server_fail(rows, one, tmp_path):
    gone = tmp_path / "gone.ini"
    gone.write_text("gone ansible_host=127.0.0.1 ansible_port=9\n")
    one.check_output("systemctl kill --signal=SIGSTOP llama-embed")
    try:
        rc, found, output = rows("-i", str(gone))
    finally:
        one.check_output("systemctl kill --signal=SIGCONT llama-embed")
    assert rc == 2 and found["gone", ""]["state"] == "unreachable"
    assert found["one", "embed"]["state"] == "silent" and "one/embed: It is silent" in output
    assert found["one", "chat"]["state"] == "ready"


def test_an_entry_that_left_is_reported_stopped_and_removed(rows, play, one):
    shorter = {"llama_instances": {"chat": CHAT}}
    rc, found, output = rows("--limit", "one", **shorter)
    assert (
        rc == 2 and "one/embed: The inventory does not list it" in output and found["one", "embed"]["state"] == "ready"
    )
    reported = play("deploy", "--limit", "one", **shorter)
    assert "embed: managed here and not in the inventory" in reported.output and unit(one, "embed") == "active"
    stopped = play("deploy", "--limit", "one", llama_instances_prune="stop", **shorter)
    assert (
        stopped.rc == 0
        and unit(one, "embed") == "inactive"
        and one.file("/etc/systemd/system/llama-embed.service").exists
    )
    assert rows("--limit", "one", **shorter)[0] == 0
    again = play("deploy", "--limit", "one", llama_instances_prune="stop", **shorter)
    assert "changed=0" in again.output
    assert play("deploy", "--limit", "one", llama_instances_prune="remove", **shorter).rc == 0
    assert not one.file("/etc/systemd/system/llama-embed.service").exists and unit(one, "chat") == "active"


def test_a_cordoned_host_drains_stays_down_over_a_reboot_and_comes_back(rows, play, one):
    one.check_output("systemd-run --quiet --unit=stream python3 -c %s", STREAM)
    time.sleep(0.5)
    assert not one.file("/root/answer").exists
    assert play("cordon", "--limit", "one", by="ann", reason="new disk").rc == 0
    one.check_output("timeout 10 sh -c 'until test -s /root/answer; do sleep 0.1; done'")  # it came to its end
    assert "changed=0" in play("cordon", "--limit", "one", by="bob").output
    reboot(one)
    assert [unit(one, name) for name in ("chat", "embed")] == ["inactive", "inactive"]
    skipped = play("site", llama_build_active=os.environ["LAB_BUILD_ID"])
    assert skipped.rc == 0 and "one is cordoned by ann" in skipped.output and "new disk" in skipped.output
    assert "llama_build" in skipped.output  # the other host is not skipped
    assert unit(one, "chat") == "inactive"
    rc, found, output = rows()
    assert rc == 0 and found["one", "chat"]["state"] == "cordoned" and "one is cordoned: by ann" in output
    back = play("uncordon", "--limit", "one")
    assert back.rc == 0, back.output
    assert rows()[0] == 0 and unit(one, "chat") == "active" and unit(one, "embed") == "active"


def test_a_bundle_for_support_has_no_secret(play, one, tmp_path):
    token = "hf_" + "planted0token0of0the0lab"
    one.check_output("systemd-run --quiet --wait --unit=llama-front echo %s", f"Authorization: Bearer {token}")
    line = f"Environment=MY_PASSWORD={token}"
    one.check_output("sed -i %s /etc/systemd/system/llama-chat.service", f"s/^.Service.$/&\\n{line}/")
    try:
        done = play("support", "--limit", "one", dest=str(tmp_path))
    finally:
        one.check_output("sed -i '/^Environment=MY_PASSWORD/d' /etc/systemd/system/llama-chat.service")
    assert done.rc == 0, done.output
    data = (tmp_path / "one.tar.gz").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        texts = {item.name.partition("/")[2]: tar.extractfile(item).read().decode() for item in tar.getmembers()}
    everything = "".join(texts.values())
    assert token not in everything and "a-key-for-the-lab-only" not in everything
    assert "[redacted]" in texts["logs/beside.log"]
    assert "MY_PASSWORD=[redacted]" in texts["units/llama-chat.service"]
    wanted = {"units/llama-watchdog@chat.service", "root/instances/chat/instance.json", "root/models/.sets/tiny.json"}
    assert wanted <= set(texts) and texts["logs/chat.log"].strip()
    assert json.loads(texts["instances/chat.json"])["residency"] == "verified"
    assert not one.run("ls /tmp/llama-support-*").stdout  # nothing stays on the host


def reboot(host):
    before = host.check_output("systemctl show --property=UserspaceTimestampMonotonic --value")
    host.check_output("systemd-run --quiet --on-active=1 --timer-property=AccuracySec=10ms systemctl reboot")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(1)
        try:
            now = host.check_output("systemctl show --property=UserspaceTimestampMonotonic --value")
        except RuntimeError:  # no ssh
            continue
        if now not in ("", before):
            host.run("systemctl is-system-running --wait")
            return
    raise AssertionError("it did not come back")
