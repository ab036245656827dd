# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unit files: complete, quoted as systemd reads them, and readable back."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import (
    besideunit,
    definition,
    hardening,
    unit,
)
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.cmdline import Command
from hypothesis import given
from hypothesis import strategies as st

WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["Cc"]), min_size=1)


@pytest.fixture
def launch():
    chat = definition.read({"name": "chat", "model": "tiny", "port": 8080})
    argv = ("/opt/llama/builds/b1/bin/llama-server", "--model", "/m/a b.gguf", "--host", "127.0.0.1", "--jinja")
    facts = {"Schema": "1", "Instance": "chat", "Build": "b1", "Model": "tiny", "ModelSHA256": "00"}
    command = Command({"GGML_NO_BACKTRACE": "1"}, argv)
    return unit.Launch(chat, command, facts, ("/m",), "/opt/llama/libexec/llama-probe", 90)


def systemd_words(line: str) -> list[str]:
    """Split as systemd.service(5), COMMAND LINES, says: quotes, C escapes, then %% and $$."""
    words = []
    for match in re.finditer(r'"((?:[^"\\]|\\.)*)"|([^ \t\n]+)', line):
        word = re.sub(r"\\(.)", r"\1", match.group(1)) if match.group(1) is not None else match.group(2)
        words.append(word.replace("%%", "%").replace("$$", "$"))
    return words


@given(st.lists(WORDS, min_size=1, max_size=6))
def test_every_word_survives_the_quoting(words):
    line = unit.exec_start(words)
    assert line.startswith("ExecStart=")
    assert systemd_words(line[len("ExecStart=") :].replace("\\\n", "")) == words


def test_one_flag_a_line_with_its_value(launch):
    text = unit.render(launch, "system")
    assert '\n  --model "/m/a b.gguf" \\\n' in text
    assert "\n  --host 127.0.0.1 \\\n" in text
    assert "\n  --jinja\n" in text


def test_a_system_unit_is_hardened(launch):
    text = unit.render(launch, "system")
    for line in ("DynamicUser=yes", "ProtectSystem=strict", "CapabilityBoundingSet=", "LimitCORE=0", "Restart=always"):
        assert f"\n{line}\n" in text
    assert "IPAddressAllow=localhost" in text
    assert "User=root" not in text


def test_a_public_instance_is_not_fenced_to_the_host_and_takes_its_keys_as_a_credential(launch):
    public = definition.read({"name": "chat", "model": "tiny", "port": 8080, "bind": "public", "keys": ["team"]})
    text = unit.render(replace(launch, instance=public, key_file="/opt/llama/keys/chat"), "system")
    assert "IPAddressDeny" not in text
    assert "\nLoadCredential=api-keys:/opt/llama/keys/chat\n" in text


@pytest.mark.parametrize(
    ("vendor", "nodes", "groups"),
    [("nvidia", ["char-nvidia*"], ""), ("amd", ["char-kfd", "char-drm"], " render video"), ("intel", ["char-drm"], "")],
)
def test_a_gpu_unit_gets_the_nodes_of_its_vendor_and_waits_for_its_gpu(launch, vendor, nodes, groups):
    text = unit.render(replace(launch, devices=("GPU-1", "GPU-2"), vendors=(vendor,)), "system")
    assert [f"\nDeviceAllow={node} rw\n" in text for node in nodes] == [True] * len(nodes)
    assert f"SupplementaryGroups=llama-models{groups}" in text
    for line in ("PrivateDevices=", "MemoryDenyWriteExecute=", "ProcSubset="):
        assert line not in text
    assert "\nWants=llama-gpu-ready.service\nAfter=llama-gpu-ready.service\n" in text
    assert "\nExecStartPre=/opt/llama/libexec/llama-gpu-ready --wait 120 GPU-1 GPU-2\n" in text
    assert ("CUDA_CACHE_PATH" in text) is (vendor == "nvidia")


def test_a_group_that_the_host_lacks_is_left_out(launch):
    text = unit.render(replace(launch, vendors=("amd",)), "system", missing=["render"])
    assert "SupplementaryGroups=llama-models video\n" in text


def test_waiting_for_a_gpu_never_counts_as_a_storm():
    assert unit.GPU_WAIT * unit.STORM_STARTS > unit.STORM_SECONDS


def test_a_unit_without_gpu_gets_no_device(launch):
    text = unit.render(launch, "system")
    assert "PrivateDevices=yes" in text
    assert "DeviceAllow" not in text and "gpu-ready" not in text


def test_every_directive_has_a_reason():
    tables = (hardening.COMMON, hardening.WITH_GPU, hardening.WITHOUT_GPU, hardening.FENCED)
    assert [name for table in tables for name, _value, reason in table if len(reason) < 10] == []


def test_crashes_are_answered_slower_and_slower_where_systemd_can(launch):
    assert "\nRestartSec=2\n" in unit.render(launch, "system", 252)
    assert "RestartSteps" not in unit.render(launch, "system", 252)
    assert "\nRestartSec=100ms\nRestartSteps=6\nRestartMaxDelaySec=60\n" in unit.render(launch, "system", 257)


def test_the_watchdog_asks_what_the_unit_serves(launch):
    keyed = replace(launch, key_file="/opt/llama/keys/chat")
    text = besideunit.watchdog(keyed, "system").replace(" \\\n ", "")
    assert "ExecStart=/opt/llama/libexec/llama-watchdog chat http://127.0.0.1:8080" in text
    assert "--key-file /opt/llama/keys/chat" in text
    assert "--sleepy" not in text and "--user" not in text
    sleepy = replace(launch, command=replace(launch.command, argv=(*launch.command.argv, "--sleep-idle-seconds", "60")))
    assert "--sleepy" in besideunit.watchdog(sleepy, "system")
    assert "--user" in besideunit.watchdog(launch, "user")
    assert "Wants=llama-watchdog@chat.timer" in unit.render(launch, "system")
    assert "PartOf=llama-chat.service" in besideunit.timer("chat")


def test_models_below_home_stay_readable(launch):
    assert "ProtectHome=yes" in unit.render(launch, "system")
    assert "ProtectHome=read-only" in unit.render(replace(launch, model_folders=("/home/me",)), "system")


def test_a_user_unit_needs_no_root(launch):
    text = unit.render(launch, "user")
    assert "DynamicUser" not in text
    assert "WantedBy=default.target" in text


def test_the_origin_reads_back(launch):
    assert unit.facts_of(unit.render(launch, "system")) == dict(launch.facts)
    assert unit.facts_of("[Service]\nBuild=x\n") == {}


@pytest.mark.parametrize(
    ("change", "restart"),
    [
        (lambda item: replace(item, facts={**item.facts, "Build": "b2"}), True),
        (lambda item: replace(item, facts={**item.facts, "ModelSHA256": "01"}), True),
        (lambda item: replace(item, command=replace(item.command, argv=(*item.command.argv, "--metrics"))), True),
        (lambda item: replace(item, command=replace(item.command, env={"A": "1"})), True),
        (lambda item: replace(item, key_file="/opt/llama/keys/chat"), True),
        (lambda item: replace(item, start_timeout=91), False),
        (lambda item: replace(item, probe="/other/probe"), False),
        (lambda item: replace(item, facts={**item.facts, "Schema": "2"}), False),
    ],
)
def test_what_needs_a_restart(launch, change, restart):
    before, after = unit.render(launch, "system"), unit.render(change(launch), "system")
    assert before != after
    assert (unit.identity(before) != unit.identity(after)) is restart


def test_a_socket_gets_a_folder_and_is_cleared_before_a_start(launch):
    chat = definition.read({"name": "chat", "model": "tiny", "bind": "/run/llama-chat/api.sock"})
    text = unit.render(replace(launch, instance=chat), "system")
    assert "\nRuntimeDirectory=llama-chat\n" in text
    assert "\nExecStartPre=/bin/rm -f /run/llama-chat/api.sock\nExecStart=" in text
    opened = "\nExecStartPost=/bin/chmod 0666 /run/llama-chat/api.sock\n"  # the watchdog is another user
    assert f"\nExecStartPost={launch.probe} unix:/run/llama-chat/api.sock --wait 90{opened}" in text
    assert "RuntimeDirectory" not in unit.render(launch, "system")


def test_a_private_key_of_tls_is_handed_over_by_the_manager(launch):
    keyed = replace(launch, tls_key="/etc/ssl/private/chat.pem")
    assert "\nLoadCredential=tls-key:/etc/ssl/private/chat.pem\n" in unit.render(keyed, "system")
    assert "LoadCredential" not in unit.render(launch, "system")
