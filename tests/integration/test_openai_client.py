# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The public OpenAI client talks to deployed instances."""

from __future__ import annotations

import openai
import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import tinymodel

KEY = "a-key-that-nobody-else-has"


@pytest.fixture
def endpoints(site, port):
    instances = [
        {"name": "chat", "model": "tiny", "port": port, "keys": ["team"]},
        {"name": "embed", "kind": "embedding", "model": "tiny", "port": port + 1, "options": {"pooling": "mean"}},
    ]
    shown = site(*instances, keys={"team": KEY})
    assert not shown["failed"], shown["msg"]
    return {name: item["endpoint"] + "/v1" for name, item in shown["instances"].items()}


def test_chat_and_embeddings(endpoints):
    with openai.OpenAI(base_url=endpoints["chat"], api_key=KEY) as client:
        answer = client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "Say hello."}])
        assert answer.choices[0].message.content == tinymodel.ANSWER
        pieces = client.chat.completions.create(
            model="chat", messages=[{"role": "user", "content": "Say hello."}], stream=True
        )
        assert "".join(part.choices[0].delta.content or "" for part in pieces if part.choices) == tinymodel.ANSWER
    with openai.OpenAI(base_url=endpoints["embed"], api_key="none") as client:
        vectors = client.embeddings.create(model="embed", input=["one", "two"])
        assert len(vectors.data) == 2
        assert any(vectors.data[0].embedding)


def test_a_wrong_key_is_refused(endpoints):
    with (
        openai.OpenAI(base_url=endpoints["chat"], api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "Hello"}])
