# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tiny model as a file; that a real server answers with it is shown by the integration tests."""

from __future__ import annotations

import os

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import gguf
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import tinymodel
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.gguf.reader import Skipped


def test_the_same_bytes_every_time_and_nothing_left_beside(tmp_path):
    path = tmp_path / "tiny.gguf"
    tinymodel.write(str(path))
    assert path.read_bytes() == tinymodel.content()
    tinymodel.write(str(path))
    assert path.read_bytes() == tinymodel.content()
    assert os.listdir(tmp_path) == ["tiny.gguf"]
    assert path.stat().st_size < 400_000


def test_its_header_is_accepted_and_says_what_it_is(tmp_path):
    path = str(tmp_path / "tiny.gguf")
    tinymodel.write(path)
    header = gguf.read_header(path)
    assert header.architecture == "llama"
    assert header.context_length == tinymodel.CONTEXT_LENGTH
    assert header.size == os.path.getsize(path)
    vocabulary = header.metadata["tokenizer.ggml.tokens"]
    assert isinstance(vocabulary, Skipped)
    assert header.tensors[0].dims == (64, vocabulary.count)
    assert "<|im_start|>" in header.text("tokenizer.chat_template")


def test_the_answer_is_a_sentence():
    assert tinymodel.ANSWER == "Hello from llama.cpp: this build computes correctly."
