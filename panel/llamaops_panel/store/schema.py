# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of the panel. A migration that was released is never edited: a further one is appended."""

from __future__ import annotations

APPLICATION = 0x4C4C5031  # marks a SQLite file as the panel's

ACCESS = """
CREATE TABLE users (
  name TEXT PRIMARY KEY, role TEXT NOT NULL, password TEXT NOT NULL,
  created REAL NOT NULL, changed REAL NOT NULL, preferences TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE TABLE sessions (
  id TEXT PRIMARY KEY, user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
  created REAL NOT NULL, seen REAL NOT NULL, address TEXT NOT NULL, agent TEXT NOT NULL
) STRICT;
CREATE TABLE tokens (
  id TEXT PRIMARY KEY, user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE, label TEXT NOT NULL,
  role TEXT NOT NULL, secret TEXT NOT NULL, created REAL NOT NULL, expires REAL, used REAL
) STRICT;
CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL,
  target TEXT NOT NULL, command TEXT NOT NULL, result TEXT NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (at);
CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
"""

BENCHES = """
CREATE TABLE benches (
  id INTEGER PRIMARY KEY AUTOINCREMENT, host TEXT NOT NULL, key TEXT NOT NULL, at REAL NOT NULL,
  build TEXT NOT NULL, model TEXT NOT NULL, record TEXT NOT NULL, UNIQUE (host, key, at)
) STRICT;
CREATE INDEX benches_at ON benches (at);
"""

JOBS = """
CREATE TABLE jobs (
  id TEXT PRIMARY KEY, op TEXT NOT NULL, checks INTEGER NOT NULL, by TEXT NOT NULL, state TEXT NOT NULL,
  created REAL NOT NULL, started REAL, ended REAL, rc INTEGER, summary TEXT NOT NULL,
  hosts TEXT NOT NULL, given TEXT NOT NULL, command TEXT NOT NULL, recap TEXT NOT NULL
) STRICT;
CREATE INDEX jobs_created ON jobs (created, id);
CREATE INDEX jobs_state ON jobs (state);
"""

MIGRATIONS: list[str] = [ACCESS, BENCHES, JOBS]
