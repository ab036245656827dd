# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients may ask, in the shapes of llama-server, Jina, Cohere and Text Embeddings Inference."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST = 4096  # documents or inputs of one request
Texts = Annotated[list[Any], Field(min_length=1, max_length=MOST)]


class Rerank(BaseModel):
    """`documents` (or `texts`, the form of Text Embeddings Inference): strings, or objects with a text."""

    model_config = ConfigDict(extra="ignore", strict=True)

    query: Annotated[str, Field(min_length=1)]
    documents: Texts | None = None
    texts: Texts | None = None
    top_n: Annotated[int, Field(ge=1)] | None = None
    top_k: Annotated[int, Field(ge=1)] | None = None
    return_documents: bool = False
    return_text: bool = False
    instruction: str | None = None
    model: str | None = None

    @model_validator(mode="after")
    def _one_list(self) -> Rerank:
        if (self.documents is None) == (self.texts is None):
            raise ValueError('"documents" must be a non-empty array')
        return self

    @property
    def given(self) -> list[Any]:
        return self.documents if self.documents is not None else self.texts or []

    def strings(self) -> list[str]:
        """The text of each document.

        :raises ValueError: a document is no string and has no text.
        """
        return [text_of(document) for document in self.given]


class Embeddings(BaseModel):
    """The request of OpenAI's embeddings."""

    model_config = ConfigDict(extra="ignore", strict=True)

    input: str | Annotated[list[str], Field(min_length=1, max_length=MOST)]
    encoding_format: str = "float"
    model: str | None = None

    @model_validator(mode="after")
    def _known_format(self) -> Embeddings:
        if self.encoding_format not in ("float", "base64"):
            raise ValueError("encoding_format is either float or base64")
        return self

    def strings(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


def text_of(document: Any) -> str:
    """The text of a document: a string, or the first of these keys of an object."""
    if isinstance(document, str):
        return document
    if isinstance(document, dict):
        for key in ("text", "content", "value", "document", "doc"):
            if isinstance(document.get(key), str):
                return str(document[key])
    raise ValueError('each of "documents" is a string, or an object with the key text')
