# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking secrets out of texts: those that are known by their value, and what looks like one."""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "[redacted]"
_NAMED = r"[\w.-]*(?:api[-_]?key|token(?!s)|secret|passw(?:or)?d|passphrase|credential)[\w.-]*"
# numbers count tokens, words of JSON say nothing, and a path is where a secret lies, not what it is
_HARMLESS = r"(?!-?[\d.]+(?:[\s,;\"'}\]\\]|$)|true\b|false\b|null\b|None\b|\[redacted\]|(?:[\w-]+:)?/(?!/))"
_PATTERNS = [
    (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", MASK),
    (r"(?i)(\bauthorization(?:\\?[\"'])?\s*[:=]\s*(?:\\?[\"'])?)[^\"'\\\n]+", rf"\1{MASK}"),
    (r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}", rf"\1 {MASK}"),
    (r"://[^/\s@\"']+@", f"://{MASK}@"),
    (r"(?i)([?&](?:x-amz-[a-z-]+|sig|signature|expires|key-pair-id|policy|se|sp|sv)=)[^&\s\"'\\]+", rf"\1{MASK}"),
    (r"\b(?:hf_|gh[pousr]_|github_pat_|glpat-|sk-|pypi-|xox[a-z]-|AKIA)[\w-]{8,}", MASK),
    (r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*", MASK),
    (rf"(?i)(--?{_NAMED}(?<!-file)[\s=]+[\"']?){_HARMLESS}(?!-)[^\s\"']+", rf"\1{MASK}"),
    (rf"(?i)(\b{_NAMED}(?:\\?[\"'])?\s*[=:]\s*(?:\\?[\"'])?){_HARMLESS}[^\s\"',;&}}\\]+", rf"\1{MASK}"),
]
_COMPILED = [(re.compile(pattern, re.S), by) for pattern, by in _PATTERNS]


class Redactor:
    """Takes secrets out of texts and counts them.

    :param known: values that must not appear, whatever stands around them; those below 6 characters are no secrets.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        values = sorted({value for value in known if len(value) >= 6}, key=len, reverse=True)
        self.known = re.compile("|".join(re.escape(value) for value in values)) if values else None
        self.count = 0

    def clean(self, text: str) -> str:
        """The text with a mask in the place of every secret."""
        if self.known is not None:
            text = self._replace(self.known, MASK, text)
        for pattern, by in _COMPILED:
            text = self._replace(pattern, by, text)
        return text

    def _replace(self, pattern: re.Pattern[str], by: str, text: str) -> str:
        text, found = pattern.subn(by, text)
        self.count += found
        return text
