"""Who may use the studio: host names, the token for other machines, and paths below a proxy."""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import sys
import webbrowser
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from small import QUIET, saved_model

from facesmith.errors import BadOption

pytest.importorskip("fastapi", reason="the studio is an extra")
import httpx
import uvicorn
from fastapi.testclient import TestClient

from facesmith.studio import access as access_module
from facesmith.studio.access import MAX_WRONG_TOKENS, Access, equal
from facesmith.studio.app import create_app
from facesmith.studio.open_models import OpenModels
from facesmith.studio.serve import TOKEN_VARIABLE, StudioOptions, serve
from facesmith.studio.services import Studio

HOST = "127.0.0.1:8400"
TOKEN = "t-" + "x" * 30
DOCUMENT = {"sec-fetch-dest": "document", "sec-fetch-site": "none", "accept": "text/html"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("access") / "tiny")


def client_with(run, base=f"http://{HOST}", **rules):
    studio = Studio(OpenModels([run], ["tiny"]))
    app = create_app(studio, Access(frozenset([HOST, "localhost:8400"]), **rules))
    return TestClient(app, base_url=base, follow_redirects=False)


def test_token_is_exchanged_for_a_cookie_and_leaves_the_address(run):
    with client_with(run, token=TOKEN) as client:
        for path in ("/", "/style.css", "/api/models", "/api/face.png?seed=1", "/nothing"):
            refused = client.get(path)
            assert refused.status_code == 401
            assert "terminal" in refused.json()["error"]
            assert TOKEN not in refused.text
        opened = client.get(f"/?token={TOKEN}", headers=DOCUMENT)
        assert (opened.status_code, opened.headers["location"]) == (303, "./")
        cookie = opened.headers["set-cookie"]
        assert TOKEN not in cookie
        assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
        assert client.get("/", headers=DOCUMENT).status_code == 200
        assert client.get("/api/models").status_code == 200
        assert client.get("/api/models", headers={"origin": "https://evil.example"}).status_code == 403
        assert client.get("/api/models", headers={"host": "evil.example"}).status_code == 403


def test_cookies_of_other_programs_on_this_host_lock_nobody_out(run):
    with client_with(run, token=TOKEN) as client:
        client.get("/", params={"token": TOKEN})
        own = f"facesmith={client.cookies['facesmith']}"
        client.cookies.clear()
        for other in ('theme={"dark": true}', "a b=c", "bad[name]=1", "", "=;;"):
            for cookies in (f"{other}; {own}", f"{own}; {other}"):
                assert client.get("/api/models", headers={"cookie": cookies}).status_code == 200, cookies


def test_programs_send_the_token_in_a_header(run):
    with client_with(run, token=TOKEN) as client:
        assert client.get("/api/models", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert client.get("/api/models", headers={"authorization": f"bearer  {TOKEN}"}).status_code == 200
        for wrong in (f"Bearer {TOKEN}x", "Bearer", "", f"Basic {TOKEN}"):
            assert client.get("/api/models", headers={"authorization": wrong}).status_code == 401, wrong


def test_query_with_very_many_fields_has_no_token(run):
    with client_with(run, token=TOKEN) as client:
        assert client.get(f"/?token={TOKEN}{'&a=1' * 200}").status_code == 401


@pytest.mark.parametrize("wrong", ["", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\u00e9" * 20, "%00"])
def test_wrong_token_or_cookie_is_refused(run, wrong):
    with client_with(run, token=TOKEN) as client:
        assert client.get("/", params={"token": wrong}).status_code == 401
        assert client.get("/", headers={"cookie": f"facesmith={wrong}".encode()}).status_code == 401


def test_wrong_tokens_are_limited_but_valid_cookies_still_pass(run, monkeypatch):
    with client_with(run, token=TOKEN) as client:
        client.get(f"/?token={TOKEN}")
        cookie = {"cookie": f"facesmith={client.cookies['facesmith']}"}
        client.cookies.clear()
        for _ in range(5 * MAX_WRONG_TOKENS):  # an open page after a restart repeats its cookie: one wrong value
            assert client.get("/api/models", headers={"cookie": "facesmith=old"}).status_code == 401
        statuses = [client.get(f"/?token=guess{i}").status_code for i in range(MAX_WRONG_TOKENS + 2)]
        assert statuses == [401] * (MAX_WRONG_TOKENS - 1) + [429] * 3
        waiting = client.get(f"/?token={TOKEN}")
        assert waiting.status_code == 429, "otherwise guessing would have no limit"
        assert 1 <= int(waiting.headers["retry-after"]) <= 120
        assert client.get("/api/models", headers=cookie).status_code == 200
        monkeypatch.setattr(access_module, "WINDOW_SECONDS", -1.0)
        assert client.get(f"/?token={TOKEN}").status_code == 303


@given(st.text(max_size=30), st.text(max_size=30))
def test_secrets_are_equal_only_if_they_are_the_same(a, b):
    assert equal(a, b) == (a == b)
    assert equal(a, a)


@pytest.mark.parametrize(
    ("rules", "host", "accepted"),
    [
        ({}, HOST, True),
        ({}, "LOCALHOST:8400", True),
        ({}, "127.0.0.1", False),
        ({}, "192.168.1.5:8400", False),
        ({"any_address": True}, "192.168.1.5:8400", True),
        ({"any_address": True}, "192.168.1.5", True),
        ({"any_address": True}, "[fe80::1]:8400", True),
        ({"any_address": True}, "evil.example:8400", False),
        ({"any_address": True}, "192.168.1.5.evil.example:8400", False),
        ({"names": frozenset(["hub.example.org"])}, "hub.example.org", True),
        ({"names": frozenset(["hub.example.org"])}, "Hub.Example.org:443", True),
        ({"names": frozenset(["hub.example.org"])}, "hub.example.org.evil.example", False),
        ({"names": frozenset(["hub.example.org:8000"])}, "hub.example.org:8001", False),
    ],
)
def test_studio_answers_to_its_own_names_only(run, rules, host, accepted):
    with client_with(run, **rules) as client:
        assert client.get("/api/models", headers={"host": host}).status_code == (200 if accepted else 403)
        own = {"host": host, "origin": f"https://{host}", "sec-fetch-site": "same-origin"}
        assert client.get("/api/models", headers=own).status_code == (200 if accepted else 403)
        for foreign in ("https://evil.example", f"http://{host}.evil.example", f"ftp://{host}", "null"):
            assert client.get("/api/models", headers=own | {"origin": foreign}).status_code == 403


def test_origin_may_be_the_public_name_if_a_proxy_replaced_the_host(run):
    with client_with(run, names=frozenset(["hub.example.org"])) as client:
        headers = {"origin": "https://hub.example.org"}
        assert client.get("/api/models", headers=headers).status_code == 200


def test_proxy_on_another_port_is_known_by_its_name_if_the_browser_says_so(run):
    with client_with(run, names=frozenset(["hub.example.org"])) as client:
        for origin, site, accepted in (
            ("https://hub.example.org:8443", "same-origin", True),
            ("https://hub.example.org:8443", "same-site", False),
            ("https://hub.example.org:8443", None, False),
            ("https://evil.example:8443", "same-origin", False),
            ("http://localhost:3000", "same-origin", False),
        ):
            headers = {"origin": origin} | ({"sec-fetch-site": site} if site else {})
            status = client.get("/api/models", headers=headers).status_code
            assert status == (200 if accepted else 403), (origin, site)


def test_browsers_leave_out_port_80():
    access = Access(frozenset(["localhost:80"]))
    assert access.accepts_host("localhost")
    assert access.accepts_host("localhost:80")
    assert access.accepts_origin("http://localhost", "localhost")
    assert not access.accepts_host("localhost:8400")
    assert not access.accepts_host("evil.example")


class Text(HTMLParser):
    """The text of a page, and its commands."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self.commands = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text.append(data)
        if self.tags[-1:] == ["code"]:
            self.commands.append(data)


@pytest.mark.parametrize("host", ["gpu-server:8400", "<script>alert(1)</script>", "a\"b'c", "", "x" * 300])
def test_refused_address_shows_a_page_that_says_what_to_do(run, host):
    with client_with(run) as client:
        refused = client.get("/", headers=DOCUMENT | {"host": host})
        assert refused.status_code == 403
        assert refused.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in refused.headers["content-security-policy"]
        page = Text(refused.text)
        assert "script" not in page.tags
        assert "ssh -L 8400:localhost:8400 USER@MACHINE" in page.commands
        assert any(command.startswith("facesmith studio --allow-host") for command in page.commands)
        assert "http://127.0.0.1:8400" in "".join(page.text)
        assert client.get("/api/models", headers={"host": host}).json()["error"].startswith("The studio is at")


@pytest.mark.parametrize("strips", [True, False], ids=["proxy removes the path", "proxy keeps the path"])
def test_everything_works_below_a_path(run, strips):
    root = "/user/me/proxy/8400"
    with client_with(run, root_path=root, token=TOKEN) as client:
        prefix = "" if strips else root
        opened = client.get(f"{prefix}/?token={TOKEN}")
        assert (opened.status_code, opened.headers["location"]) == (303, "./")
        assert f"Path={root};" in opened.headers["set-cookie"]
        cookie = {"cookie": opened.headers["set-cookie"].partition(";")[0]}
        for path in ("/", "/style.css", "/main.js", "/api/models", "/icon.svg"):
            assert client.get(prefix + path, headers=cookie).status_code == 200, path
        link = cookie | {"sec-fetch-site": "cross-site", "sec-fetch-dest": "document"}
        assert client.get(f"{prefix}/", headers=link).status_code == 200
        assert client.get(f"{prefix}/api/models", headers=link).status_code == 403
        if not strips:
            without_slash = client.get(root, headers=cookie)
            assert (without_slash.status_code, without_slash.headers["location"]) == (303, f"{root}/")
            assert client.get(f"{root}x/api/models", headers=cookie).status_code == 404


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"host": "203.0.113.7"}, "not an address of this machine"),
        ({"host": "no such host"}, "not an address of this machine"),
        ({"host": "\u00e9" * 70}, "not an address of this machine"),
        ({"allow_hosts": ["https://hub.example.org"]}, "not a host name"),
        ({"allow_hosts": ["*"]}, "not a host name"),
        ({"allow_hosts": [""]}, "not a host name"),
        ({"root_path": "user/me"}, "not a path"),
        ({"root_path": "https://hub/user"}, "not a path"),
        ({"root_path": "/a/../b c"}, "not a path"),
        ({"root_path": "//"}, "not a path"),
    ],
)
def test_option_of_another_form_is_refused_in_one_line(run, options, message):
    with pytest.raises(BadOption, match=message) as refused:
        serve(StudioOptions(models=[run], **options), QUIET)
    assert "\n" not in str(refused.value)


def test_short_token_is_refused(run, monkeypatch):
    monkeypatch.setenv(TOKEN_VARIABLE, "secret")
    with pytest.raises(BadOption, match="at least 20"):
        serve(StudioOptions(models=[run], host="0.0.0.0"), QUIET)


def test_port_in_use_is_reported(run):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(BadOption, match="--port"):
            serve(StudioOptions(models=[run], port=other.getsockname()[1]), QUIET)


@pytest.mark.parametrize(
    ("options", "needs_token"),
    [
        ({}, False),
        ({"host": "localhost"}, False),
        ({"host": "127.0.0.2"}, False),
        ({"root_path": "/user/me/proxy/8400"}, False),
        ({"host": "0.0.0.0"}, True),
        ({"allow_hosts": ["hub.example.org"]}, True),
    ],
)
def test_only_this_machine_may_connect_without_a_token(run, options, needs_token, monkeypatch):
    started = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda server, sockets: started.append((server.config, sockets)))
    monkeypatch.setattr(webbrowser, "open", started.append)
    output = io.StringIO()
    serve(StudioOptions(models=[run], browser=True, **options), Console(file=output, soft_wrap=True))
    config = started[0][0]
    assert config.access_log is False, "it would contain the token"
    address, token = re.search(r"The studio is at (http://\S+?/)(\?token=\S+)?  ", output.getvalue()).groups()
    assert address.endswith(f"{options.get('root_path', '')}/")
    assert bool(token) == needs_token
    with TestClient(config.app, base_url=address, follow_redirects=True) as browser:
        assert browser.get(f"{address}api/models").status_code == (401 if needs_token else 200)
        if token:
            assert browser.get(f"{address}{token}").status_code == 200
            assert browser.get(f"{address}api/models").status_code == 200
    if not needs_token:
        assert "From other machines" not in output.getvalue()
    elif "allow_hosts" in options:
        assert f"https://hub.example.org/{token}" in output.getvalue()
    else:
        assert re.search(r"From other machines: http://[^/]+/\?token=", output.getvalue())


def test_every_start_makes_another_token_unless_one_is_given(run, monkeypatch):
    def token_of_next_start():
        output = io.StringIO()
        serve(StudioOptions(models=[run], host="0.0.0.0"), Console(file=output, soft_wrap=True))
        return re.search(r"\?token=(\S+)", output.getvalue())[1]

    monkeypatch.setattr(uvicorn.Server, "run", lambda *_, **__: None)
    assert token_of_next_start() != token_of_next_start()
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    assert token_of_next_start() == TOKEN


def test_token_in_the_environment_is_used_on_this_machine_too(run, monkeypatch):
    output = io.StringIO()
    monkeypatch.setattr(uvicorn.Server, "run", lambda *_, **__: None)
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    serve(StudioOptions(models=[run], root_path="/"), Console(file=output, soft_wrap=True))
    assert re.search(rf"http://127\.0\.0\.1:\d+/\?token={TOKEN} ", output.getvalue())


def test_container_answers_on_the_port_that_it_is_published_at(run, monkeypatch):
    started = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda server, sockets: started.append(server.config.app))
    serve(StudioOptions(models=[run], host="0.0.0.0"), QUIET)
    with TestClient(started[0], base_url="http://localhost:9999") as client:
        assert client.get("/api/models").status_code == 401, "the host is accepted; the token is missing"
        assert client.get("/api/models", headers={"host": "evil.example:9999"}).status_code == 403


def test_small_answers_are_sent_at_once(run):
    """Not after the 40 ms for which the system waits in case that more follows."""
    command = [sys.executable, "-m", "facesmith", "studio", "--model", str(run), "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as studio:
        try:
            url = studio.stderr.readline().split()[4]
            with httpx.Client(base_url=url, timeout=60) as browser:
                seconds = [browser.get("api/queue").elapsed.total_seconds() for _ in range(40)]
        finally:
            studio.terminate()
    assert min(seconds[20:]) < 0.03, "the first answers of a connection are not delayed"


@pytest.mark.slow
def test_token_is_never_logged(run):
    command = [sys.executable, "-m", "facesmith", "studio", "--model", str(run), "--port", "0", "--host", "0.0.0.0"]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=one_thread) as studio:
        url, token = re.search(r"(http://\S+?/)\?token=(\S+)", studio.stderr.readline()).groups()
        try:
            with httpx.Client(base_url=url, timeout=60, follow_redirects=True) as browser:
                assert browser.get(f"/?token={token}").status_code == 200
                assert browser.get("/api/models").status_code == 200
                for path in (f"/api/face.png?token={token}&seed=x", f"/nothing?token={token}", f"/?token={token}%ff"):
                    browser.get(path)
        finally:
            studio.terminate()
        rest = studio.stderr.read()
    assert "Traceback" not in rest
    log = [line for line in rest.splitlines() if not line.startswith("From other machines: ")]
    assert not any(token in line for line in log)
