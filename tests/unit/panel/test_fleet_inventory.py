# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory as Ansible itself reads it, and the ssh command that its settings mean."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest
from llamaops_panel.fleet import inventory
from llamaops_panel.fleet.connection import NoWay, shell_line, way

SOURCE = """
all:
  vars:
    domain: example.org
    llama_keys: {team: the-secret-key}
    hub_token: hf_secret
  children:
    gpus:
      hosts:
        alpha:
          ansible_host: "{{ inventory_hostname }}.{{ domain }}"
          ansible_user: ops
          ansible_port: 2222
          ansible_ssh_private_key_file: ~/keys/fleet
          ansible_ssh_common_args: -J jump@bastion.example.org:22
          ansible_become: true
          llama_instances: {chat: {model: "{{ model_of_all }}", port: 8080}}
          model_of_all: demo
        beta: {ansible_password: x, ansible_host: 10.0.0.2}
        gamma: {ansible_connection: local, llama_scope: user}
        delta: {ansible_host: "{{ nowhere }}"}
        epsilon: {ansible_connection: community.docker.docker}
        zeta: {ansible_become: true, ansible_become_password: x}
        eta: {ansible_host: "-oProxyCommand=touch /tmp/never"}
        theta:
          llama_address: !vault |
            $ANSIBLE_VAULT;1.1;AES256
            38656432363237363630383062373331313666363438306561633439313262363339363561376463
            3331376137646535613232626637653733623932653435390a396133316539623532326432633262
            62633164343263633666646262363362306134613836613438326265333166386132653933323762
            3734383230353636610a396438653130663262616534316330386664306464643661356463396330
            3239
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> inventory.Inventory:
    folder = tmp_path_factory.mktemp("inventory")
    (folder / "hosts.yml").write_text(SOURCE)
    (folder / "ansible.cfg").write_text(
        "[defaults]\nhost_key_checking = False\n[ssh_connection]\nssh_args = -C -o ControlMaster=auto\n"
    )
    (folder / "group_vars").mkdir()
    text = folder / "plain.yml"
    text.write_text("secret_thing: 1\n")
    (folder / "pass").write_text("word\n")
    sealed = folder / "group_vars/gpus.yml"
    argv = ["ansible-vault", "encrypt", "--vault-password-file", folder / "pass", "--output", sealed, text]
    subprocess.run(argv, check=True, capture_output=True)
    return asyncio.run(inventory.read(["hosts.yml"], folder, {"ANSIBLE_CONFIG": str(folder / "ansible.cfg")}))


def test_every_host_is_there_and_what_is_sealed_is_named(found: inventory.Inventory) -> None:
    assert set(found.hosts) == {"alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"}
    assert [Path(path).name for path in found.sealed] == ["gpus.yml"]
    assert found.hosts["alpha"].groups == ("gpus",)


def test_values_are_known_and_secrets_are_not(found: inventory.Inventory) -> None:
    alpha = found.hosts["alpha"].variables
    assert alpha["llama_instances"] == {"chat": {"model": "demo", "port": 8080}}
    assert alpha["ansible_host"] == "alpha.example.org"
    assert "secret" not in str([host.variables for host in found.hosts.values()])
    assert "llama_address" in found.hosts["theta"].problems


def test_the_command_is_what_ansible_would_run(found: inventory.Inventory) -> None:
    argv = list(way(found.hosts["alpha"]).argv)
    assert argv[0] == "ssh" and argv[-3:-1] == ["--", "alpha.example.org"]
    assert argv[-1] == "sudo -n -u root -- /opt/llama/libexec/llama-host watch"
    for words in (
        ["-J", "jump@bastion.example.org:22"],
        ["-o", 'Port="2222"'],
        ["-o", 'User="ops"'],
        ["-o", "BatchMode=yes"],
    ):
        assert any(argv[at : at + 2] == words for at in range(len(argv))), words
    assert f'IdentityFile="{Path("~/keys/fleet").expanduser()}"' in argv
    assert "-C" in argv and "ControlMaster=auto" not in argv and "StrictHostKeyChecking=no" in argv


def test_this_machine_needs_no_ssh(found: inventory.Inventory) -> None:
    assert way(found.hosts["gamma"]).argv == (str(Path("~/llama-runtime/libexec/llama-host").expanduser()), "watch")


@pytest.mark.parametrize(
    ("host", "word"),
    [("beta", "password"), ("delta", "ansible_host"), ("epsilon", "docker"), ("zeta", "sudo"), ("eta", "address")],
)
def test_what_cannot_be_streamed_says_why(found: inventory.Inventory, host: str, word: str) -> None:
    with pytest.raises(NoWay, match=word) as refused:
        way(found.hosts[host])
    assert refused.value.remedy


def test_words_reach_the_shell_of_the_host_as_they_are() -> None:
    argv = ["sh", "-c", "printf '%s|' " + shell_line(["a b", "$HOME", "~/x y", "';id"])]
    said = subprocess.run(argv, env={"HOME": "/h"}, capture_output=True, text=True, check=True).stdout
    assert said == "a b|$HOME|/h/x y|';id|"


def test_an_inventory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(inventory.InventoryError, match=r"no inventory nothing\.yml"):
        asyncio.run(inventory.read(["nothing.yml"], tmp_path, {}))
