# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel writes into the inventory, and what it only proposes."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field

import pytest
import yaml
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput, Prerequisite
from llamaops_panel.changes import hostvars, nodes, places
from llamaops_panel.changes.changes import Changes, EditedMeanwhile

CHAT = {"model": "tiny", "port": 8080}


@dataclass
class Host:
    groups: tuple[str, ...] = ("all", "gpu")
    variables: dict = field(default_factory=lambda: {"llama_models": dict.fromkeys(("tiny", "x", "y", "e"), {})})


@pytest.fixture
def inventory(tmp_path):
    (tmp_path / "hosts.yml").write_text("all: {children: {gpu: {hosts: {alpha: {}, beta: {}}}}}\n")
    return tmp_path


@pytest.fixture
def made(inventory):
    hosts = {"alpha": Host(), "beta": Host()}
    changes = Changes(["hosts.yml"], lambda: hosts, project=inventory)
    changes.known = hosts
    return changes


def file_of(inventory, host="alpha"):
    return inventory / "host_vars" / host / "llama_panel.yml"


def add(changes, name="chat", host="alpha", by="ann", **fields):
    proposal = changes.propose(host, name, {**CHAT, **fields}, "")
    changes.write(proposal, by)
    return changes.instances(host)[name]


# ---- the panel's own file


def test_a_new_instance_is_shown_as_a_diff_and_then_written(made, inventory):
    proposal = made.propose("alpha", "chat", {"port": 8080, "model": "tiny", "ctx_size": None}, "")
    assert "+    port: 8080" in proposal.diff and "+++ b/host_vars/alpha/llama_panel.yml" in proposal.diff
    assert not file_of(inventory).exists() and proposal.writable and not proposal.conflicts
    assert proposal.preview == {"llama_instances__panel": {"chat": CHAT}}
    made.write(proposal, "ann")
    text = file_of(inventory).read_text()
    assert text.startswith("---\n# Instances of this host") and yaml.safe_load(text) == proposal.preview
    assert text.index("model") < text.index("port")
    entry = made.instances("alpha")["chat"]
    assert (entry.managed_by, entry.line) == ("panel", text[: text.index("  chat:")].count("\n") + 1)
    assert os.stat(file_of(inventory)).st_mode & 0o777 == 0o644
    assert [path.name for path in file_of(inventory).parent.iterdir()] == ["llama_panel.yml"]


def test_two_people_edit_different_instances(made, inventory):
    first = made.propose("alpha", "zebra", {**CHAT, "port": 8082}, "")
    add(made, "chat")
    made.write(first, "bob")
    assert list(yaml.safe_load(file_of(inventory).read_text())["llama_instances__panel"]) == ["chat", "zebra"]


def test_the_second_of_two_who_edit_one_instance_is_told_what_changed(made):
    entry = add(made)
    mine = made.propose("alpha", "chat", {**CHAT, "parallel": 4}, entry.revision)
    made.write(made.propose("alpha", "chat", {**CHAT, "ctx_size": 4096}, entry.revision), "bob")
    with pytest.raises(EditedMeanwhile, match=r"bob has changed chat of alpha.*ctx_size: None is 4096 now") as caught:
        made.write(mine, "ann")
    assert caught.value.details["changed"] == {"ctx_size": [None, 4096]} and caught.value.details["by"] == "bob"
    with pytest.raises(EditedMeanwhile):
        made.propose("alpha", "chat", None, entry.revision)
    with pytest.raises(EditedMeanwhile, match="has made chat"):
        made.propose("alpha", "chat", CHAT, "")
    assert made.instances("alpha")["chat"].fields == {**CHAT, "ctx_size": 4096}


def test_what_was_deleted_meanwhile_does_not_come_back(made):
    entry = add(made)
    mine = made.propose("alpha", "chat", {**CHAT, "parallel": 4}, entry.revision)
    made.write(made.propose("alpha", "chat", None, entry.revision), "bob")
    with pytest.raises(EditedMeanwhile, match="bob has deleted chat"):
        made.write(mine, "ann")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"model": "tiny"}, "port"),
        ({**CHAT, "prot": 1}, "did you mean port"),
        ({**CHAT, "port": 80}, "1024"),
        ({**CHAT, "bind": "public"}, "without a key"),
    ],
)
def test_what_hosts_would_refuse_is_not_written(made, inventory, fields, why):
    proposal = made.propose("alpha", "chat", fields, "")
    assert why in proposal.conflicts[0].lower()
    with pytest.raises(InvalidInput):
        made.write(proposal, "ann")
    assert not file_of(inventory).exists()


def test_a_port_of_another_file_is_a_conflict(made):
    made.known["alpha"].variables["llama_instances"] = {"old": {**CHAT}, "odd": {"port": "{{ x }}", "model": "y"}}
    assert "8080 is given to two" in made.propose("alpha", "chat", CHAT, "").conflicts[0]
    assert made.propose("alpha", "chat", {**CHAT, "port": 8081}, "").conflicts == ()


@pytest.mark.parametrize("value", ["{{ lookup('pipe', 'id') }}", "{% raw %}", "two\nlines", "\x1b[31m"])
def test_no_template_and_no_control_character_comes_from_a_browser(made, value):
    for fields in ({**CHAT, "alias": [value]}, {**CHAT, "options": {"chat_template": value}}):
        with pytest.raises(InvalidInput, match="template|one line"):
            made.propose("alpha", "chat", fields, "")


@pytest.mark.parametrize("host", ["../evil", "..", "/etc", "a/b", "", ".git", "a\nb", "x" * 300])
def test_a_host_name_leaves_no_folder(inventory, host):
    changes = Changes(["hosts.yml"], lambda: {host: Host()}, project=inventory)
    with pytest.raises(InvalidInput, match="cannot name a folder"):
        changes.propose(host, "chat", CHAT, "")


@pytest.mark.parametrize("part", ["host_vars", "host_vars/alpha", "host_vars/alpha/llama_panel.yml"])
def test_links_are_refused(made, inventory, part):
    elsewhere = inventory / "elsewhere"
    link = inventory / part
    link.parent.mkdir(parents=True, exist_ok=True)
    elsewhere.write_text("kept") if part.endswith(".yml") else elsewhere.mkdir()
    link.symlink_to(elsewhere)
    with pytest.raises(InvalidInput, match="link"):
        made.write(made.propose("alpha", "chat", CHAT, ""), "ann")
    assert elsewhere.read_text() == "kept" if part.endswith(".yml") else not list(elsewhere.iterdir())


@pytest.mark.parametrize("name", ["alpha", "alpha.yml", "alpha.yaml", "alpha.json"])
def test_a_file_that_ansible_would_no_longer_read_is_not_hidden(made, inventory, name):
    (inventory / "host_vars").mkdir()
    (inventory / "host_vars" / name).write_text("x: 1\n")
    with pytest.raises(InvalidInput, match=rf"{name}.*mv .*main\.yml") as caught:
        made.propose("alpha", "chat", CHAT, "")
    subprocess.run(caught.value.remedy.partition(": ")[2], shell=True, check=True)  # noqa: S602  what the remedy says
    made.write(made.propose("alpha", "chat", CHAT, ""), "ann")
    assert (inventory / "host_vars/alpha/main.yml").read_text() == "x: 1\n"


def test_where_the_file_lies(tmp_path):
    (tmp_path / "inventory").mkdir()
    (tmp_path / "cloud.aws_ec2.yml").write_text("plugin: x\n")
    assert places.base(["inventory"], tmp_path) == tmp_path / "inventory"
    assert places.base(["a,b", "cloud.aws_ec2.yml"], tmp_path) == tmp_path
    with pytest.raises(InvalidInput, match=r"has no folder.*hosts\.yml"):
        places.base(["alpha,beta,"], tmp_path)


def test_a_file_that_cannot_be_written_is_said_so(made, inventory):
    (inventory / "host_vars").write_text("in the way")
    with pytest.raises((InvalidInput, Prerequisite), match="host_vars"):
        made.write(made.propose("alpha", "chat", CHAT, ""), "ann")


@pytest.mark.parametrize("text", ["other: 1\n", "llama_instances__panel: [1]\n", "a: [\n", "&a [*a, *a]\n", "\t"])
def test_a_file_that_is_not_the_panels_is_left_alone(made, inventory, text):
    file_of(inventory).parent.mkdir(parents=True)
    file_of(inventory).write_text(text)
    with pytest.raises(InvalidInput):
        made.propose("alpha", "chat", CHAT, "")
    assert file_of(inventory).read_text() == text


def test_an_alias_bomb_ends_soon():
    text = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    with pytest.raises(InvalidInput, match="too large"):
        nodes.compose(text, "it")


def test_the_text_is_the_same_for_the_same_entries():
    one = {"b": {"port": 1, "model": "x"}, "a": {"options": {"flash_attn": "on"}, "model": "y"}}
    other = {"a": {"model": "y", "options": {"flash_attn": "on"}}, "b": {"model": "x", "port": 1}}
    assert hostvars.dump(one) == hostvars.dump(other)
    assert hostvars.parse(hostvars.dump(one), "it") == one


def test_a_change_becomes_one_commit_of_its_author(made, inventory):
    def git(*words):
        return subprocess.run(["git", "-C", inventory, *words], check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    git("add", "hosts.yml")
    changes = Changes(["hosts.yml"], lambda: made.known, project=inventory, commit=True)
    changes.write(changes.propose("alpha", "chat", CHAT, ""), "ann <x>")
    assert git("log", "--format=%an|%ae|%s").strip() == "ann x|ann.x@panel|Add the instance chat of alpha"
    assert git("show", "--name-only", "--format=").split() == ["host_vars/alpha/llama_panel.yml"]
    assert git("diff", "--cached", "--name-only").split() == ["hosts.yml"]


# ---- files of the operator

BLOCK = """# what we serve
llama_instances:
  chat:            # for people
    model: tiny    # small
    port: 8080

    options:
      flash_attn: "on"   # quoted
    # the end of chat
  embed: {kind: embedding, model: "e", port: 8081}  # flow
other: &a [1, 2]
"""


@pytest.fixture
def operators(made, inventory):
    folder = inventory / "group_vars" / "gpu"
    folder.mkdir(parents=True)
    (folder / "llama.yml").write_text(BLOCK)
    made.known["alpha"].variables.update(yaml.safe_load(BLOCK))
    return made


def changed_lines(diff):
    return [line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def test_entries_of_the_operator_are_shown_with_their_line(operators, inventory):
    found = operators.instances("alpha")
    assert {name: (entry.line, entry.managed_by) for name, entry in found.items()} == {
        "chat": (3, "inventory"),
        "embed": (10, "inventory"),
    }
    assert found["chat"].file == str(inventory / "group_vars/gpu/llama.yml")
    assert operators.instances("beta") == {}


@pytest.mark.parametrize(
    ("name", "edit", "lines"),
    [
        ("chat", {"port": 9090}, ["-    port: 8080", "+    port: 9090"]),
        ("chat", {"model": "big: one"}, ["-    model: tiny    # small", "+    model: 'big: one'    # small"]),
        ("chat", {"parallel": 4}, ["+    parallel: 4"]),
        (
            "chat",
            {"model": "x", "port": None},
            ["-    model: tiny    # small", "-    port: 8080", "+    model: x    # small"],
        ),
        ("embed", {"port": 9, "ctx_size": 8}, None),
        ("embed", {"kind": None}, None),
        ("chat", {"options": {"threads": 2}}, None),
        ("chat", None, None),
        ("embed", None, ['-  embed: {kind: embedding, model: "e", port: 8081}  # flow']),
    ],
)
def test_a_proposal_keeps_comments_and_order(operators, inventory, name, edit, lines):
    entry = operators.instances("alpha")[name]
    fields = None if edit is None else {**entry.fields, **edit}
    proposal = operators.propose("alpha", name, fields, entry.revision)
    found = changed_lines(proposal.diff)
    assert lines is None or found == lines
    patched = subprocess.run(
        ["patch", "-p1", "-o", "-", proposal.file], input=proposal.diff, capture_output=True, text=True, check=True
    ).stdout
    expected = yaml.safe_load(BLOCK)
    expected["llama_instances"][name] = {k: v for k, v in (fields or {}).items() if v is not None}
    if fields is None:
        del expected["llama_instances"][name]
    assert yaml.safe_load(patched) == expected
    assert "# what we serve" in patched and "other: &a [1, 2]" in patched
    assert (inventory / "group_vars/gpu/llama.yml").read_text() == BLOCK
    with pytest.raises(InvalidInput, match="belongs to the operator"):
        operators.write(proposal, "ann")


@pytest.mark.parametrize(
    "text",
    [
        "all:\n  hosts:\n    alpha:\n      llama_instances: {chat: {model: tiny, port: 8080}}\n    beta:\n",
        "all: {vars: {llama_instances: {chat: {model: tiny, port: 8080}}}, hosts: {alpha: }}\n",
        '{"all": {"children": {"gpu": {"vars": {"llama_instances": {"chat": {"model": "tiny", "port": 8080}}}}}}}\n',
    ],
)
def test_entries_within_an_inventory_are_found_and_proposed(made, inventory, text):
    (inventory / "hosts.yml").write_text(text)
    made.known["alpha"].variables["llama_instances"] = {"chat": CHAT}
    entry = made.instances("alpha")["chat"]
    assert entry.line == next(number for number, line in enumerate(text.splitlines(), 1) if "chat" in line)
    gone = made.propose("alpha", "chat", None, entry.revision)
    assert "{}" in gone.diff
    edited = made.propose("alpha", "chat", {**CHAT, "port": 9090, "parallel": 2}, entry.revision)
    assert "9090" in edited.diff and "parallel: 2" in edited.diff


def test_what_a_plugin_made_is_changed_there(made):
    made.known["alpha"].variables["llama_instances__cloud"] = {"chat": CHAT}
    entry = made.instances("alpha")["chat"]
    assert (entry.file, entry.managed_by) == ("", "inventory")
    with pytest.raises(InvalidInput, match="plugin"):
        made.propose("alpha", "chat", {**CHAT, "port": 9090}, entry.revision)


def test_a_template_that_the_operator_wrote_stays(made, inventory):
    (inventory / "host_vars/alpha").mkdir(parents=True)
    (inventory / "host_vars/alpha/main.yml").write_text('llama_instances:\n  chat: {model: "{{ m }}", port: 8080}\n')
    made.known["alpha"].variables["llama_instances"] = {"chat": {"model": "{{ m }}", "port": 8080}}
    entry = made.instances("alpha")["chat"]
    proposal = made.propose("alpha", "chat", {**entry.fields, "port": 9090}, entry.revision)
    assert changed_lines(proposal.diff) == [
        '-  chat: {model: "{{ m }}", port: 8080}',
        '+  chat: {model: "{{ m }}", port: 9090}',
    ]


# ---- secrets


@pytest.fixture
def secretive(made, inventory):
    text = "llama_instances:\n  chat:\n    model: tiny\n    port: 8080\n    environment:\n      HF_TOKEN: planted\n"
    (inventory / "host_vars").mkdir()
    (inventory / "host_vars" / "alpha.yml").write_text(text)
    made.known["alpha"].variables["llama_instances"] = yaml.safe_load(text)["llama_instances"]
    return made


def test_a_secret_of_the_operator_is_not_shown_and_stays_where_an_edit_leaves_it(secretive, inventory):
    entry = secretive.instances("alpha")["chat"]
    assert entry.fields["environment"] == {"HF_TOKEN": "(hidden)"}
    proposal = secretive.propose("alpha", "chat", {**entry.fields, "port": 8081}, entry.revision)
    assert "+    port: 8081" in proposal.diff and "HF_TOKEN: (hidden)" in proposal.diff
    assert not any(line.startswith(("+", "-")) and "HF_TOKEN" in line for line in proposal.diff.splitlines())
    for said in (entry, entry.document(), proposal.diff, proposal.document()):
        assert "planted" not in repr(said)
    (inventory / "host_vars" / "alpha.yml").write_text("llama_instances: {chat: {model: tiny, port: 8089}}\n")
    with pytest.raises(EditedMeanwhile) as refused:
        secretive.propose("alpha", "chat", {**entry.fields, "port": 8081}, entry.revision)
    assert "planted" not in f"{refused.value} {refused.value.details}"


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"environment": {"HF_TOKEN": "planted"}}, "HF_TOKEN"),
        ({"options": {"api_key": "planted"}}, "api_key"),
        ({"options": {"api_key_file": "/etc/llama/keys"}}, ""),
    ],
)
def test_a_secret_is_taken_from_nobody(made, inventory, fields, key):
    if not key:
        assert "/etc/llama/keys" in made.propose("alpha", "chat", {**CHAT, **fields}, "").diff
        return
    with pytest.raises(InvalidInput, match=f"{key} is a secret") as refused:
        made.propose("alpha", "chat", {**CHAT, **fields}, "")
    assert "planted" not in str(refused.value) and not file_of(inventory).exists()
