# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, sessions, tokens and tickets on a real database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import argon2
import pytest
from llamaops_panel.access import access as module
from llamaops_panel.access import passwords
from llamaops_panel.access.access import Access, LoginRefused
from llamaops_panel.access.hashing import CROWD
from llamaops_panel.access.limits import KEPT
from llamaops_panel.settings import HOUR, Settings
from llamaops_panel.store import Store, users
from llamaops_panel.store.users import UserError

PASSWORD, OTHER = "tall mirror eats nine plums", "nine plums eat a tall mirror"


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """A hash for a millisecond: what it must cost is the question of test_access_limits."""
    quick = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(passwords, "PASSWORD", quick)
    monkeypatch.setattr(passwords, "NOBODY", quick.hash("nobody"))


@asynccontextmanager
async def opened(folder: Path, **given: object) -> AsyncIterator[Access]:
    settings = Settings(state=folder, **given)  # type: ignore[arg-type]
    store = Store(settings.database)
    store.database.open()
    access = Access(store, settings)
    await access.start()
    try:
        yield access
    finally:
        await access.stop()
        store.database.close()


def play(folder: Path, story, **given: object) -> None:
    async def run() -> None:
        async with opened(folder, **given) as access:
            await access.add_user("ann", "admin", PASSWORD, "test")
            await story(access)

    asyncio.run(run())


async def enter(access: Access, name: str = "ann", password: str = PASSWORD, device: str | None = None, **more: str):
    return await access.login(name, password, address=more.get("address", "192.0.2.1"), agent="x", device=device)


async def audited(access: Access) -> list[tuple[str, str, str]]:
    words = "SELECT who, what, result FROM audit ORDER BY id"
    return [tuple(row) for row in await access._database.read(lambda db: db.execute(words).fetchall())]


def test_what_the_command_line_writes_counts_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOOK", 3600)

    async def story(access: Access) -> None:
        other = Store(Settings(state=tmp_path).database)
        other.database.open()
        try:
            hashed, secret = passwords.hashed(PASSWORD), passwords.token_hashed("secret")
            other.database.write_now(lambda db: users.add(db, "bob", "viewer", hashed, "test"))
            assert (await enter(access, "bob"))[0]
            id = other.database.write_now(lambda db: users.add_token(db, "bob", "x", "viewer", secret, None, "test"))
            assert (await access.by_token(module.token_text(id, "secret"))).user.name == "bob"
            other.database.write_now(lambda db: users.remove(db, "bob", "test"))
            with pytest.raises(LoginRefused, match="do not go together"):
                await enter(access, "bob")
        finally:
            other.database.close()

    play(tmp_path, story)


def test_a_session_begins_with_the_password_and_ends_with_a_logout(tmp_path):
    async def story(access: Access) -> None:
        secret, _device = await enter(access)
        identity = access.by_session(secret)
        assert identity and (identity.user.name, identity.user.role, identity.via) == ("ann", "admin", "session")
        assert identity.user.allows("operator") and access.by_session(secret + "x") is None
        await access.logout(secret)
        assert access.by_session(secret) is None and identity.ended.is_set()
        await access.logout(secret)
        assert (await audited(access))[-2:] == [("ann", "login", "ok"), ("ann", "logout", "ok")]

    play(tmp_path, story)


def test_each_login_is_a_new_session_and_ends_only_by_itself(tmp_path):
    async def story(access: Access) -> None:
        (first, device), (second, again) = await enter(access), await enter(access)
        assert first != second and device != again
        _third, kept = await enter(access, device=device)
        assert kept == device
        await access.logout(first)
        assert access.by_session(second) and len(access.sessions("ann")) == 2

    play(tmp_path, story)


def test_a_session_is_over_when_idle_and_when_old(tmp_path):
    async def story(access: Access) -> None:
        secret, _device = await enter(access)
        began = time.time()
        for hours in (7.9, 15.8, 23.7):
            assert access.by_session(secret, began + hours * HOUR), "it was used within eight hours"
        assert access.by_session(secret, began + 31.8 * HOUR) is None, "idle"
        other, _device = await enter(access)
        for hours in range(0, 7 * 24, 5):
            assert access.by_session(other, began + hours * HOUR)
        assert access.by_session(other, began + (7 * 24 + 0.01) * HOUR) is None, "old"

    play(tmp_path, story)


def test_what_was_over_leaves_the_database(tmp_path):
    async def story(access: Access) -> None:
        await enter(access)
        await asyncio.sleep(1.1)
        await access._write_used()
        assert access._snapshot.sessions == {}

    play(tmp_path, story, session_idle=1)


def test_a_clock_that_was_ahead_leaves_no_session_for_years(tmp_path):
    async def story(access: Access) -> None:
        secret, _device = await enter(access)
        assert access.by_session(secret, time.time() - 60), "small steps back are usual"
        assert access.by_session(secret, time.time() - 400) is None
        assert access.by_session(secret)

    play(tmp_path, story)


def test_a_wrong_login_says_nothing_of_what_was_wrong(tmp_path):
    async def story(access: Access) -> None:
        said = []
        for name, password in (("ann", OTHER), ("nobody", PASSWORD), (PASSWORD, ""), ("", "")):
            with pytest.raises(LoginRefused) as refused:
                await enter(access, name, password)
            said.append((str(refused.value), refused.value.wait))
        assert set(said) == {("this name and password do not go together", 0.0)}
        rows = [row for row in await audited(access) if row[1] == "login"]
        assert rows == [("ann", "login", "refused"), *[("(unknown)", "login", "refused")] * 3]

    play(tmp_path, story)


def test_ten_thousand_wrong_logins_are_held_off_and_others_get_in(tmp_path):
    async def story(access: Access) -> None:
        await access.add_user("bob", "viewer", OTHER, "test")
        _secret, device = await enter(access, address="198.51.100.1")
        began = time.monotonic()

        async def wrong(number: int) -> str:
            try:
                await enter(access, "ann", f"guess {number}", address=f"10.1.{number % 7}.{number % 50}")
            except LoginRefused as error:
                return str(error)[:8]
            return "in"

        async def honest() -> None:
            await asyncio.sleep(0.05)
            assert await enter(access, "bob", OTHER, address="198.51.100.2"), "somebody else, elsewhere"
            assert await enter(access, device=device, address="203.0.113.5"), "the one they guess at, by a known device"

        said = await asyncio.gather(*(wrong(number) for number in range(10_000)), honest())
        assert "in" not in said and said.count("too many") > 9_900
        assert time.monotonic() - began < 20
        assert len(access._limits._failures) <= KEPT
        assert len([row for row in await audited(access) if row[2] == "refused"]) < 100

    play(tmp_path, story)


def test_a_crowd_of_guessers_leaves_room_for_a_known_device(tmp_path):
    async def story(access: Access) -> None:
        _secret, device = await enter(access)
        guesses = [
            asyncio.create_task(enter(access, f"n{number}", "guess", address=f"10.{number >> 8}.{number & 255}.1"))
            for number in range(1000)
        ]
        await asyncio.sleep(0)
        assert access._hashing.waiting == CROWD
        secret, _device = await enter(access, device=device)
        assert access.by_session(secret)
        said = [str(error) for error in await asyncio.gather(*guesses, return_exceptions=True)]
        assert sum("many log in at this moment" in text for text in said) == 1000 - CROWD

    play(tmp_path, story)


def test_the_audit_log_does_not_grow_by_what_strangers_do(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "REFUSED", 3)

    async def story(access: Access) -> None:
        for number in range(6):
            with pytest.raises(LoginRefused):
                await enter(access, f"n{number}", "guess", address=f"10.0.0.{number}")
        await access._write_used()
        rows = await audited(access)
        assert rows == [("test", "user.add", "admin"), *[("(unknown)", "login", "refused")] * 3]

    play(tmp_path, story)


def test_a_token_is_its_hash_and_its_role_and_ends(tmp_path):
    async def story(access: Access) -> None:
        id, token = await access.add_token("ann", "prometheus", "viewer", time.time() + 60, "ann")
        assert token.startswith(f"llp_{id}_")
        found = await access.by_token(token)
        assert found and (found.user.role, found.via, found.who) == ("viewer", "token", f"ann token:{id}")
        row = access.tokens("ann")[0]
        assert row.secret.startswith("$argon2id$") and token not in repr(row)
        for wrong in ("", "llp", f"llp_{id}_", token[:-1], token + "x", token.replace("llp", "xxx"), f"llp__{token}"):
            assert await access.by_token(wrong) is None
        assert await access.by_token(token, time.time() + 61) is None, "it is valid for a minute"
        again = await access.by_token(token)
        await access.revoke_token(id, "ann")
        assert again and again.ended.is_set() and await access.by_token(token) is None

    play(tmp_path, story)


def test_a_token_may_never_more_than_its_user(tmp_path):
    async def story(access: Access) -> None:
        await access.add_user("bob", "operator", OTHER, "ann")
        with pytest.raises(UserError, match="bob is operator, so a token of theirs cannot be admin"):
            await access.add_token("bob", "x", "admin", None, "bob")
        with pytest.raises(UserError, match="there is no user eve"):
            await access.add_token("eve", "x", "viewer", None, "bob")
        _id, token = await access.add_token("bob", "x", "operator", None, "bob")
        await access.set_role("bob", "viewer", "ann")
        found = await access.by_token(token)
        assert found and found.user.role == "viewer"
        await access.remove_user("bob", "ann")
        assert await access.by_token(token) is None

    play(tmp_path, story)


def test_a_change_of_role_or_password_ends_what_was_open(tmp_path):
    async def story(access: Access) -> None:
        await access.add_user("bob", "admin", OTHER, "ann")
        secret, _device = await enter(access, "bob", OTHER)
        was = access.by_session(secret)
        await access.set_role("bob", "viewer", "ann")
        now = access.by_session(secret)
        assert was and was.ended.is_set() and access.user(was).role == "viewer"
        assert now and now.user.role == "viewer" and not now.ended.is_set()
        await access.set_password("bob", PASSWORD, "ann")
        assert access.by_session(secret) is None and now.ended.is_set() and access.user(now) is None
        with pytest.raises(LoginRefused):
            await enter(access, "bob", OTHER)

    play(tmp_path, story)


def test_a_ticket_ends_with_what_it_was_made_by(tmp_path):
    async def story(access: Access) -> None:
        secret, _device = await enter(access)
        identity = access.by_session(secret)
        assert identity
        opened = access.by_ticket(access.ticket(identity, "/api/v1/events"), "/api/v1/events")
        assert opened and opened.user.name == "ann"
        ticket = access.ticket(identity, "/api/v1/events")
        await access.logout(secret)
        assert access.by_ticket(ticket, "/api/v1/events") is None and opened.ended.is_set()

    play(tmp_path, story)


def test_the_last_admin_stays(tmp_path):
    async def story(access: Access) -> None:
        for change in (access.remove_user("ann", "ann"), access.set_role("ann", "operator", "ann")):
            with pytest.raises(UserError, match="ann is the last admin"):
                await change
        for name in ("", "Ann", "a" * 41, "../x", "a b", "ann\n", "-x", "<b>"):
            with pytest.raises(UserError):
                await access.add_user(name, "viewer", PASSWORD, "ann")

    play(tmp_path, story)


def test_what_another_process_changes_counts_within_seconds(tmp_path):
    async def story(access: Access) -> None:
        secret, _device = await enter(access)
        identity = access.by_session(secret)
        other = Store(tmp_path / "panel.db")
        other.database.open()
        other.database.write_now(lambda db: users.set_password(db, "ann", "$argon2id$x", "cli:root"))
        other.database.close()
        assert identity
        await asyncio.wait_for(identity.ended.wait(), 30)
        assert access.by_session(secret) is None

    play(tmp_path, story)


def test_when_sessions_were_used_outlives_the_panel(tmp_path):
    async def story() -> None:
        async with opened(tmp_path) as access:
            await access.add_user("ann", "admin", PASSWORD, "test")
            secret, _device = await enter(access)
            access.by_session(secret, time.time() + 5)
        async with opened(tmp_path) as access:
            assert access.by_session(secret)
            assert access.sessions("ann")[0].seen > time.time() + 3

    asyncio.run(story())


def test_no_secret_stands_in_the_database(tmp_path):
    async def story(access: Access) -> None:
        secret, device = await enter(access)
        _id, token = await access.add_token("ann", "x", "admin", None, "ann")
        assert await access.right_password("ann", PASSWORD, "192.0.2.1")
        assert not await access.right_password("ann", OTHER, "192.0.2.1")
        with pytest.raises(LoginRefused):
            await enter(access, OTHER, OTHER)
        await access._write_used()
        files = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
        assert b"argon2id" in files and b"ann" in files
        for hidden in (PASSWORD, OTHER, secret, token, token.split("_", 2)[2], device):
            assert hidden.encode() not in files

    play(tmp_path, story)
