# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords and the secrets of tokens, hashed with argon2; what a password must be."""

from __future__ import annotations

import argon2
from zxcvbn import zxcvbn

SHORTEST = 12  # characters
LONGEST = 128
WEAKEST = 3  # of the guesses that zxcvbn expects: 10^8 and more
PASSWORD = argon2.PasswordHasher()  # RFC 9106, the choice for little memory: 64 MiB, 3 passes
# the secret of a token is 256 random bits: nobody guesses it, so its hash may be cheap
TOKEN = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
NOBODY = PASSWORD.hash("nobody has this password")  # compared with, where there is no such user


class WeakPassword(Exception):
    """The password is refused; the text says what it needs."""


def check(password: str, name: str) -> None:
    """Raises WeakPassword."""
    if len(password) < SHORTEST:
        raise WeakPassword(f"a password needs at least {SHORTEST} characters; a few words do well")
    if len(password) > LONGEST:
        raise WeakPassword(f"a password has at most {LONGEST} characters")
    found = zxcvbn(password[:72], user_inputs=[name, "llamaops", "llama"])
    if found["score"] < WEAKEST:
        raise WeakPassword(
            found["feedback"]["warning"] or "this password is easy to guess; a few unusual words do well"
        )


def hashed(password: str) -> str:
    return PASSWORD.hash(password)


def matches(stored: str, password: str) -> bool:
    """Takes tens of milliseconds, and as long whether it matches or not."""
    try:
        return PASSWORD.verify(stored, password[: LONGEST + 1])
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def token_hashed(secret: str) -> str:
    return TOKEN.hash(secret)


def token_matches(stored: str, secret: str) -> bool:
    try:
        return TOKEN.verify(stored, secret)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False
