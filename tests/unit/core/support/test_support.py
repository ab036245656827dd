# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No secret leaves a host, and what is no secret stays readable."""

from __future__ import annotations

import io
import tarfile

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.support import collect
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.support.redact import MASK, Redactor
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree

# put together here, so that no scanner takes them for real ones
SECRET = "Zq" + "7vWn3kRt9"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f'"authorization": "Basic {SECRET}"',
        f"curl -H 'Authorization: token {SECRET}'",
        f"llama-server --api-key {SECRET} --port 8080",
        f"llama-server --api-key={SECRET}",
        f"llama-server --hf-token '{SECRET}'",
        f"HF_TOKEN={SECRET}",
        f"Environment=MY_SECRET={SECRET}",
        f'Environment="DB_PASSWORD={SECRET}"',
        f'{{"api_key": "{SECRET}"}}',
        f'{{\\"api_key\\": \\"{SECRET}\\"}}',
        f"password: {SECRET}",
        f"https://user:{SECRET}@example.org/x.gguf",
        f"https://{SECRET}@example.org/x.gguf",
        f"https://example.org/x?X-Amz-Signature={SECRET}&a=1",
        f"https://example.org/x?access_token={SECRET}",
        f"found hf_{SECRET} in the log",
        f"ghp_{SECRET}{SECRET}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n{SECRET}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}\ncut off",
    ],
)
def test_what_looks_like_a_secret_is_masked(text):
    redactor = Redactor()
    shown = redactor.clean(text)
    assert SECRET not in shown and MASK in shown and redactor.count >= 1


def test_a_known_value_is_masked_wherever_it_stands():
    assert Redactor([SECRET, "short"]).clean(f"x{SECRET}y short") == f"x{MASK}y short"


@pytest.mark.parametrize(
    "text",
    [
        "slot update: n_tokens = 4096, progress = 1.0",
        '"msg":"n_keep = 0, task.n_tokens = 0\\n"}',
        '"msg":"load: printing all EOG tokens:\\n"}',
        "init sampler, took 0.00 ms, tokens: text = 6, total = 6",
        '"tokens_per_second": 41.7, "tokens": 4}',
        "LoadCredential=api-keys:/opt/llama/keys/chat",
        "--api-key-file /run/credentials/llama-chat.service/api-keys \\",
        "NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, GPU has fallen off the bus.",
        "http://127.0.0.1:8080#/etc/llama/cert.pem",
        '"token_file": null',
    ],
)
def test_what_is_no_secret_stays(text):
    assert Redactor().clean(text) == text


class Managed:
    """A service manager whose unit files lie in a folder and whose one instance has a log."""

    kind = "supervisor"

    def __init__(self, folder):
        self.folder = folder

    def path(self, name):
        return str(self.folder / f"llama-{name}.service")

    def managed(self):
        return ["chat"]

    def recent(self, name, lines, since):
        return [f"request with {SECRET}", "loaded"][-lines:]

    def status(self, name):
        raise OSError("the manager does not answer")


def unpacked(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {item.name: tar.extractfile(item).read().decode() for item in tar.getmembers()}


def test_a_bundle_has_the_texts_and_no_key(tmp_path):
    for folder in ("keys/site", "units", "instances/chat", "models/.sets", "builds/b1"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "keys" / "site" / "team").write_text(f"{SECRET}\n")
    (tmp_path / "units" / "llama-chat.service").write_text(
        f"[Service]\nEnvironment=A={SECRET}\n[X-LlamaOps]\nSchema=1\n"
    )
    (tmp_path / "units" / "llama-other.service").write_text("[Service]\nExecStart=/bin/not-ours\n")
    (tmp_path / "instances" / "chat" / "instance.json").write_text("{}")
    (tmp_path / "models" / ".sets" / "tiny.json").write_text('{"source": "builtin:tiny"}')
    (tmp_path / "builds" / "b1" / "manifest.json").write_text("x" * (collect.MOST + 10))
    archive, sizes, redacted = collect.bundle(Tree(str(tmp_path), "user"), Managed(tmp_path / "units"), 10)
    texts = unpacked(archive)
    assert {name.removeprefix("llama-support/") for name in texts} == set(sizes)
    assert SECRET not in "".join(texts.values()) and redacted == 2
    assert texts["llama-support/units/llama-chat.service"].startswith(f"[Service]\nEnvironment=A={MASK}")
    assert texts["llama-support/logs/chat.log"] == f"request with {MASK}\nloaded\n"
    assert "does not answer" in texts["llama-support/instances/chat.json"]  # one failure costs one text
    assert sizes["root/builds/b1/manifest.json"] == collect.MOST
    assert not [name for name in texts if "keys/" in name or "other" in name]
