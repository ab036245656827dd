# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets what of a panel that runs: every route, by role, session, token, ticket, origin and socket."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import time
from collections.abc import Iterator

import httpx
import pytest
from fixtures.panel_process import FILES, PASSWORDS, PLANTED, PanelProcess
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

CHANGING = {"POST", "PUT", "PATCH", "DELETE"}
# what a viewer may send: it changes nobody but themselves, or nothing at all
OF_ONESELF = {
    ("PUT", "/api/v1/me/preferences"), ("PUT", "/api/v1/me/password"), ("DELETE", "/api/v1/me/sessions/{id}"),
    ("POST", "/api/v1/me/tickets"), ("POST", "/api/v1/tokens"), ("DELETE", "/api/v1/tokens/{id}"),
}  # fmt: skip
LOOKING = {
    ("POST", "/api/v1/hosts/{host}/plan"), ("POST", "/api/v1/plans"), ("POST", "/api/v1/hosts/{host}/paste"),
    ("POST", "/api/v1/jobs/command"), ("POST", "/api/v1/hosts/{host}/preview"),
    ("POST", "/api/v1/hosts/{host}/instances/{name}/proposal"),
}  # fmt: skip
PARTS = {"host": "gpu01", "name": "chat", "action": "start"}


def operations(served: PanelProcess) -> Iterator[tuple[str, str, str]]:
    """Method, path and least role of every route of the API."""
    with served.program("vic") as program:
        described = program.get("/openapi.json").json()
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            roles = {role for way in operation.get("security", ()) for roles in way.values() for role in roles}
            assert len(roles) <= 1, (method, path, roles)
            yield method.upper(), path, roles.pop() if roles else ""


def filled(path: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: PARTS.get(found[1], "0123456789ab"), path)


def test_every_route_has_a_role_and_those_who_lack_it_are_refused(served):
    found = list(operations(served))
    assert len(found) > 40
    assert [(method, path) for method, path, role in found if not role] == [("GET", "/api/health")]
    may_send = {(method, path) for method, path, role in found if method in CHANGING and role == "viewer"}
    assert may_send == OF_ONESELF | LOOKING
    with served.anybody() as nobody, served.program("vic") as vic, served.program("olga") as olga:
        for method, path, role in found:
            if not role:
                continue
            said = nobody.request(method, filled(path), json={})
            assert said.status_code == 401 and "bearer" in said.json()["detail"], (method, path)
            if role in ("operator", "admin"):
                said = vic.request(method, filled(path), json={})
                assert said.status_code == 403 and f"role {role}; vic is viewer" in said.text, (method, path, said.text)
            if role == "admin":
                assert olga.request(method, filled(path), json={}).status_code == 403, (method, path)


def test_an_operation_of_admins_is_none_of_operators(served):
    with served.program("olga") as olga:
        listed = olga.get("/api/v1/operations").json()
        for one in (item for item in listed if item["needs"] == "admin"):
            said = olga.post("/api/v1/jobs", json={"op": one["name"], "hosts": ["gpu01"], "check": True})
            assert said.status_code == 403, said.text


@pytest.mark.parametrize("model", ["owner/repo:Q4_K_M", "https://elsewhere.example/m.gguf", {"ref": "owner/repo"}])
def test_a_plan_for_which_a_host_goes_out_is_none_of_viewers(served, model):
    asked = (("/hosts/gpu01/plan", {}), ("/plans", {"hosts": ["gpu01"]}))
    with served.program("vic") as vic, served.program("olga") as olga:
        for path, hosts in asked:
            said = vic.post(f"/api/v1{path}", json={"fields": {"model": model}, **hosts})
            assert said.status_code == 403 and "role operator; vic is viewer" in said.text, said.text
            assert olga.post(f"/api/v1{path}", json={"fields": {"model": model}, **hosts}).status_code == 200
            assert vic.post(f"/api/v1{path}", json={"fields": {"model": "tiny"}, **hosts}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/settings", "/hosts/gpu01", "/docs", "/metrics", "/nowhere", "/openapi.json",
                                  "/static/swagger/swagger-ui.css", "/_nicegui/x", "/_nicegui_ws/socket.io/",
                                  "/api/health/", "/api//health", "/static/../api/v1/me", "/login/x"])  # fmt: skip
def test_nothing_else_is_open(served, path):
    with served.anybody(accept="text/html") as nobody:
        said = nobody.get(path)
        assert said.status_code == 303 and said.headers["location"].startswith("/login"), said.text[:100]
        assert nobody.get(path, headers={"accept": "*/*"}).status_code == 401
        assert nobody.post(path).status_code == 401


def test_health_says_only_that_it_is_well_and_its_version(served):
    with served.anybody() as nobody:
        said = nobody.get("/api/health")
        assert set(said.json()) == {"ok", "version"} and said.json()["ok"] is True
        assert "server" not in said.headers and "x-powered-by" not in said.headers


def test_metrics_are_for_tokens_of_viewers(served):
    with served.program("vic") as vic, served.anybody() as nobody:
        assert nobody.get("/api/v1/metrics").status_code == 401
        vic.get("/api/v1/hosts/nobody-has-this-name")
        text = vic.get("/api/v1/metrics").text
        assert 'llamaops_panel_hosts{link="connected"} 3.0' in text and 'route="/hosts/{host}",status="404"' in text, (
            text
        )
        assert "nobody-has-this-name" not in text, "what is typed makes no series"


@pytest.mark.parametrize("header", ["Bearer", "bearer llp", "Bearer llp_0123456789ab_x", "Basic YW5uOnB3"])
def test_a_wrong_token_is_nobody(served, header):
    with served.anybody(authorization=header) as program:
        assert program.get("/api/v1/me").status_code == 401


def test_a_token_in_an_address_opens_nothing(served):
    served.program("vic").close()
    with served.anybody() as nobody:
        for name in ("token", "access_token", "ticket", "authorization"):
            assert nobody.get("/api/v1/me", params={name: served.tokens["vic"]}).status_code == 401


def test_a_token_is_shown_once_and_changes_no_ways_in(served):
    with served.program("vic") as vic, served.browser("vic") as page:
        listed = page.get("/api/v1/tokens").json()["items"]
        assert served.tokens["vic"] not in json.dumps(listed) and "argon2" not in json.dumps(listed)
        for method, path, body in (
            ("PUT", "/me/password", {"old": PASSWORDS["vic"], "new": PASSWORDS["ann"]}),
            ("PUT", "/me/preferences", {"values": {}}),
            ("POST", "/tokens", {"label": "x", "days": 3650}),
        ):
            assert vic.request(method, f"/api/v1{path}", json=body).status_code == 403
        made = page.post("/api/v1/tokens", json={"label": "other"}).json()
        assert vic.delete(f"/api/v1/tokens/{made['id']}").status_code == 403
        with served.anybody(authorization=f"Bearer {made['token']}") as other:
            assert other.get("/api/v1/me").json()["role"] == "viewer"
            assert other.delete(f"/api/v1/tokens/{made['id']}").status_code == 204, "a token may end itself"
            assert other.get("/api/v1/me").status_code == 401
        assert page.post("/api/v1/tokens", json={"label": "x", "role": "operator"}).status_code == 403


def test_tokens_and_sessions_of_others_are_out_of_reach(served):
    with served.browser("olga") as olga, served.browser("vic") as vic:
        id = olga.post("/api/v1/tokens", json={"label": "mine"}).json()["id"]
        session = olga.get("/api/v1/me/sessions").json()[0]["id"]
        assert id not in vic.get("/api/v1/tokens").text
        assert vic.delete(f"/api/v1/tokens/{id}").status_code == 404
        assert vic.delete(f"/api/v1/me/sessions/{session}").status_code == 404
        assert olga.delete(f"/api/v1/tokens/{id}").status_code == 204


def test_changes_by_a_cookie_come_from_our_own_pages(served):
    with served.browser("ann") as page:
        for headers in (
            {"origin": "http://evil.example"},
            {"origin": "null"},
            {"origin": served.url.replace("http", "https")},
            {"origin": f"{served.url}0"},
            {"origin": served.url, "sec-fetch-site": "cross-site"},
        ):
            said = page.post("/api/v1/inventory/reload", headers=headers)
            assert said.status_code == 403 and "does not come from a page" in said.text, headers
        del page.headers["origin"]
        assert page.post("/api/v1/inventory/reload").status_code == 403, "what says nothing is not from our pages"
        assert page.get("/logout").headers["location"] == "/", "a link elsewhere logs nobody out"
        assert page.get("/api/v1/me", headers={"accept": "*/*"}).status_code == 200
        said = page.get("/api/v1/me", headers={"host": "evil.example"})
        assert said.status_code == 421 and "not called" in said.text
        assert page.get("/api/v1/me", headers={"host": "[::1"}).status_code == 421


def test_a_login_from_elsewhere_is_refused(served):
    with served.anybody(origin="http://evil.example") as elsewhere:
        said = elsewhere.post("/login", data={"name": "vic", "password": PASSWORDS["vic"]})
        assert said.status_code == 403 and not said.cookies


def test_a_session_is_a_cookie_that_scripts_cannot_read_and_is_new_with_each_login(served):
    with served.browser() as page:
        said = page.post("/login", data={"name": "vic", "password": PASSWORDS["vic"], "next": "//evil.example"})
        cookie = next(line for line in said.headers.get_list("set-cookie") if line.startswith("llama-panel"))
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie and "Domain" not in cookie
        assert "expires" not in cookie.lower() and said.headers["location"] == "/"
        first = dict(page.cookies)
        page.post("/login", data={"name": "vic", "password": PASSWORDS["vic"]})
        name = f"llama-panel-{served.port}"
        assert page.cookies[name] != first[name]
        with served.anybody(cookie=f"{name}={first[name]}") as old:
            assert old.get("/api/v1/me").status_code == 401, "the session before is over"
        said = page.post("/logout")
        assert said.headers["location"] == "/login" and '"storage"' in said.headers["clear-site-data"]
        assert name not in page.cookies
        assert page.get("/api/v1/me", headers={"accept": "*/*"}).status_code == 401


def test_a_wrong_login_shows_the_page_again_and_waits_after_some(served):
    with served.anybody("127.0.0.66", origin=served.url) as page, served.browser("vic") as elsewhere:
        said = page.post("/login", data={"name": "<b>eve", "password": "planted-wrong-password"})
        assert said.status_code == 401 and "do not go together" in said.text
        assert "&lt;b&gt;eve" in said.text and "planted-wrong-password" not in said.text
        for _try in range(20):
            said = page.post("/login", data={"name": "<b>eve", "password": "x"})
            if said.status_code == 429:
                break
        assert said.status_code == 429 and int(said.headers["retry-after"]) >= 1
        again = elsewhere.post("/login", data={"name": "vic", "password": PASSWORDS["vic"]})
        assert again.status_code == 303, "others get in"


def test_a_socket_of_the_pages_needs_a_session_and_our_own_origin_and_ends_with_it(served):
    address = f"{served.url.replace('http', 'ws')}/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    with served.browser("vic") as page:
        cookie = "; ".join(f"{name}={value}" for name, value in page.cookies.items())
        for sent, origin in (("", served.url), (cookie, "http://evil.example"), (cookie, None)):
            with pytest.raises(InvalidStatus) as refused:
                connect(address, additional_headers={"cookie": sent}, origin=origin)
            assert refused.value.response.status_code == 403
        with connect(address, additional_headers={"cookie": cookie}, origin=served.url) as socket:
            assert "sid" in str(socket.recv(60))
            page.post("/logout")
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    socket.recv(60)
            assert closed.value.rcvd and closed.value.rcvd.code == 4401


def test_hosts_are_streamed_with_the_key_of_the_settings(served):
    key = served.state.parent / "key"
    assert len(served.streams) >= 3
    assert all(f'IdentityFile="{key}"' in words for words in served.streams), served.streams


def test_a_ticket_opens_one_stream_once(served):
    with served.program("vic") as vic, served.anybody() as nobody:
        ticket = vic.post("/api/v1/me/tickets", json={"path": "/api/v1/events"}).json()
        assert ticket["seconds"] <= 30
        assert vic.post("/api/v1/me/tickets", json={"path": "/login"}).status_code == 422
        for expected in (200, 401):
            with nobody.stream("GET", "/api/v1/events", params={"ticket": ticket["ticket"]}) as answer:
                assert answer.status_code == expected
        ticket = vic.post("/api/v1/me/tickets", json={"path": "/api/v1/events"}).json()["ticket"]
        assert nobody.get("/api/v1/users", params={"ticket": ticket}).status_code == 401
        assert nobody.get("/api/v1/events", params={"ticket": ticket}).status_code == 401, "it is used up"
        ticket = vic.post("/api/v1/me/tickets", json={"path": "/api/v1/inventory/reload"}).json()["ticket"]
        assert nobody.post("/api/v1/inventory/reload", params={"ticket": ticket}).status_code == 401


def test_a_stream_ends_with_its_session(served):
    with (
        served.browser("vic") as page,
        served.browser("vic") as other,
        page.stream("GET", "/api/v1/events", headers={"accept": "text/event-stream"}) as answer,
    ):
        assert answer.status_code == 200
        for row in other.get("/api/v1/me/sessions").json():
            if not row["current"]:
                other.delete(f"/api/v1/me/sessions/{row['id']}")
        with contextlib.suppress(httpx.RemoteProtocolError):  # cut off, as it should be
            for _line in answer.iter_lines():
                pass  # by itself it would not end


def test_every_answer_says_what_a_browser_may_do_with_it(served):
    with served.browser("vic") as page:
        answers = {path: page.get(path) for path in ("/", "/login", "/docs", "/api/v1/me", "/openapi.json", "/nowhere")}
        asset = re.search(r'src="(/_nicegui/[^"]+\.js)"', answers["/"].text)
        assert asset
        answers["asset"] = page.get(asset[1])
        answers["health"] = httpx.get(f"{served.url}/api/health")
    for path, said in answers.items():
        sent, policy = said.headers, said.headers["content-security-policy"]
        assert sent["x-content-type-options"] == "nosniff" and sent["x-frame-options"] == "DENY", path
        assert sent["referrer-policy"] == "same-origin" and "frame-ancestors 'none'" in policy, path
        assert "strict-transport-security" not in sent and "access-control-allow-origin" not in sent, path
        assert ("no-store" in sent.get("cache-control", "")) is (path != "asset"), path
        assert "server" not in sent, path
        if "application/json" in sent.get("content-type", ""):
            assert sent["content-disposition"].startswith("attachment"), path
        if "text/html" in sent.get("content-type", ""):
            scripts = re.search("script-src ([^;]*)", policy)
            assert scripts and "unsafe-inline" not in scripts[1] and "http" not in scripts[1], path
            nonce = re.search("'nonce-([^']+)'", policy)
            assert nonce and all(nonce[1] in tag for tag in re.findall(r"<script[^>]*>", said.text)), path
    policies = [answers[path].headers["content-security-policy"] for path in ("/", "/docs")]
    nonces = {re.findall("'nonce-([^']+)'", policy)[0] for policy in policies}
    assert len(nonces) == 2


@pytest.mark.parametrize("length", ["1048577", "-1", "x"])
def test_a_request_that_is_too_long_is_refused(served, length):
    served.program("ann").close()
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    connection.putrequest("POST", "/api/v1/plans")
    connection.putheader("authorization", f"Bearer {served.tokens['ann']}")
    connection.putheader("content-length", length)
    connection.endheaders()
    assert connection.getresponse().status in (400, 413)
    connection.close()


def test_a_body_without_a_length_is_cut_off(served):
    def endless() -> Iterator[bytes]:
        for _part in range(40):
            yield b"x" * (1 << 16)

    with served.program("ann") as ann:
        try:
            assert ann.post("/api/v1/plans", content=endless()).status_code == 413
        except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
            pass  # it hung up
        assert ann.get("/api/v1/me").status_code == 200


def test_every_change_stands_in_the_audit_log(served):
    with served.program("ann") as ann, served.browser("ann") as page:
        who = f"ann token:{served.tokens['ann'].split('_')[1]}"
        expected = []

        def done(method: str, path: str, body: object, what: str, target: str, by: str = who) -> httpx.Response:
            said = (page if by == "ann" else ann).request(method, f"/api/v1{path}", json=body)
            assert said.status_code < 300, said.text
            expected.append((by, what, target))
            return said

        tim = {"name": "tim", "password": PASSWORDS["olga"]}
        done("POST", "/users", tim, "user.add", "tim")
        done("PATCH", "/users/tim", {"role": "operator"}, "user.role", "tim")
        done("PATCH", "/users/tim", {"password": PASSWORDS["vic"]}, "user.password", "tim")
        with served.browser("tim", PASSWORDS["vic"]) as theirs:
            assert theirs.put("/api/v1/me/password", json={"old": PASSWORDS["vic"], "new": PASSWORDS["ann"]}).is_success
        expected += [("tim", "login", "127.0.0.1"), ("tim", "user.password", "tim")]
        done("DELETE", "/users/tim", None, "user.remove", "tim")
        id = done("POST", "/tokens", {"label": "x"}, "token.add", "ann", "ann").json()["id"]
        done("DELETE", f"/tokens/{id}", None, "token.revoke", "ann", "ann")
        done("POST", "/inventory/reload", None, "inventory.reload", "")
        fields = {"model": "builtin:tiny", "port": 8123}
        made = done("PUT", "/hosts/gpu02/instances/new", {"fields": fields}, "instance.write", "gpu02/new")
        assert made.json()["writable"] and "+" in made.json()["diff"]
        entry = ann.get("/api/v1/hosts/gpu02/instances/new").json()["entry"]
        assert entry["fields"] == fields and entry["managed_by"] == "panel"
        gone = {"fields": None, "revision": entry["revision"]}
        done("PUT", "/hosts/gpu02/instances/new", gone, "instance.delete", "gpu02/new")
        wanted = {"op": "restart", "hosts": ["gpu01"], "given": {"instance": ["chat"]}, "check": True}
        job = done("POST", "/jobs", wanted, "job.check restart", "gpu01").json()
        done("POST", f"/jobs/{job['id']}/cancel", None, "job.cancel restart", "gpu01")
        rows = ann.get("/api/v1/audit", params={"limit": 500}).json()["items"]
        found = [(row["who"], row["what"], row["target"]) for row in reversed(rows)]
        begin = found.index(expected[0])
        assert [row for row in found[begin:] if row in expected] == expected
        command = next(row["command"] for row in rows if row["what"] == "job.check restart")
        assert command.startswith("ansible-playbook") and "--check" in command and "restart" in command
        assert command == job["command_line"]
        until = time.monotonic() + 60
        while ann.get(f"/api/v1/jobs/{job['id']}").json()["state"] in ("queued", "running"):
            assert time.monotonic() < until
            time.sleep(0.2)
        assert any(row["what"] == "job.end restart" for row in ann.get("/api/v1/audit").json()["items"])


def test_no_secret_is_answered_logged_or_kept(served):
    with served.program("ann") as ann, served.browser("vic") as page:
        api = "hosts hosts/{host} instances hosts/shut hosts/shut/instances/chat attention users tokens jobs"
        paths = [f"/api/v1/{path}" for path in [*api.split(), "audit?limit=500", "metrics", "me", "me/sessions"]]
        said = [ann.get(filled(path)).text for path in [*paths, "/openapi.json"]]
        said += [page.get(path).text for path in ("/", "/hosts/shut", "/settings", "/hosts/shut/instances/chat")]
        assert "(hidden)" in "".join(said)
        files = [file for file in [served.log, *served.state.rglob("*")] if file.is_file()]
        kept = b"".join(file.read_bytes() for file in files)
        assert b"argon2id" in kept
        secrets = [*PASSWORDS.values(), *served.tokens.values(), *FILES.values(), *page.cookies.values()]
        secrets += [PLANTED["llama_api_key"], PLANTED["ansible_become_password"], "planted-key-of-an-instance"]
        secrets += ["planted-wrong-password"]
        for secret in secrets:
            assert secret.encode() not in kept, secret
            assert not any(secret in text for text in said), secret
        assert {file.stat().st_mode & 0o077 for file in files if file != served.log} == {0}
