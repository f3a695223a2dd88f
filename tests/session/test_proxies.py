"""Through a proxy, past it, and what is said where it cannot be used."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import sys

import pytest
from livekit.agents import APIConnectOptions
from support.http import answering
from support.proxy import proxy
from support.scripted import KEY, PhonicServer, conversation, read, started

from phonic_fsm import ConnectionFailed
from phonic_fsm._runtime import connection
from phonic_fsm._runtime import proxy as proxies

pytestmark = pytest.mark.anyio

PASSWORD = "p4ss/word-of-the-proxy"
QUOTED = "p4ss%2Fword-of-the-proxy"

AT_ONCE = APIConnectOptions(max_retry=1, retry_interval=0, timeout=5)

ESCAPES = pytest.mark.skipif(
    not proxies.TAKES_ESCAPES, reason="websockets takes %2F in a password from 17.2 on"
)

FAR = "ws://phonic.test"
"""An address that only a proxy can find."""


def assert_shows_no_password(caplog, *said):
    for text in (caplog.text, *map(str, said), *map(repr, said)):
        for secret in (PASSWORD, QUOTED, KEY):
            assert secret not in text


async def failure(model):
    """The errors of a session that cannot connect."""
    async with started(model) as (_, emitted):
        errors = [payload for name, payload in await emitted.before("state_changed")]
    assert all(isinstance(error.error, ConnectionFailed) for error in errors)
    return errors


@pytest.mark.parametrize(
    ("variable", "written", "password"),
    [
        ("http_proxy", "plain-word", "plain-word"),
        ("HTTPS_PROXY", "plain-word", "plain-word"),
        ("ALL_PROXY", "plain-word", "plain-word"),
        pytest.param("ws_proxy", QUOTED, PASSWORD, marks=ESCAPES),
    ],
)
async def test_a_session_goes_through_the_proxy(  # noqa: PLR0917
    variable, written, password, make_model, server, monkeypatch, caplog
):
    async with proxy(server.url, user=f"agent:{password}") as between:
        # A variable that a script has set may have white space around it.
        monkeypatch.setenv(variable, f" http://agent:{written}@{between.address}\n")
        async with conversation(make_model(base_url=FAR), server) as (_, peer, emitted):
            await peer.speak("Hello.")
            assert (await read(await emitted.next("generation_created"))).text == "Hello."
    [request] = between.requests
    assert request.startswith("CONNECT phonic.test:80 ")
    assert KEY not in request
    assert_shows_no_password(caplog)
    assert password not in caplog.text


async def test_an_escape_that_websockets_does_not_take_is_named(make_model, monkeypatch, caplog):
    monkeypatch.setattr(proxies, "TAKES_ESCAPES", False)
    monkeypatch.setenv("ws_proxy", f"http://agent:{QUOTED}@127.0.0.1:3128")
    [error] = await failure(make_model(base_url=FAR, conn_options=AT_ONCE))
    assert 'pip install "websockets>=17.2"' in str(error.error)
    assert_shows_no_password(caplog, error.error)


async def test_a_session_over_tls_goes_through_the_proxy(
    make_model, certificate, own_certificate, monkeypatch
):
    trusting = ssl.create_default_context(cafile=certificate)
    monkeypatch.setattr(connection, "_tls", lambda: trusting)
    async with PhonicServer(own_certificate) as server, proxy(server.url) as between:
        monkeypatch.setenv("https_proxy", f"http://{between.address}")
        model = make_model(base_url="wss://phonic.test")
        async with conversation(model, server) as (_, peer, emitted):
            words = [f"word {number} " for number in range(100)]
            await peer.speak(*words)
            assert (await read(await emitted.next("generation_created"))).text == "".join(words)
    [request] = between.requests
    assert request.startswith("CONNECT phonic.test:443 ")


@pytest.mark.parametrize("value", ["http://127.0.0.1:9", "nonsense", "socks5h://127.0.0.1:9"])
@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "all_proxy", "socks_proxy"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_this_machine_is_never_behind_a_proxy(  # noqa: PLR0917
    variable, value, host, make_model, server, monkeypatch
):
    monkeypatch.setenv(variable, value)
    model = make_model(base_url=server.url.replace("127.0.0.1", host))
    async with conversation(model, server) as (_, peer, _):
        assert peer.path == "/v1/sts/ws"


async def test_a_host_that_is_excluded_is_reached_directly(make_model, monkeypatch, server):
    monkeypatch.setenv("no_proxy", "phonic.test")
    async with proxy(server.url) as between:
        monkeypatch.setenv("http_proxy", f"http://{between.address}")
        [_, error] = await failure(make_model(base_url=FAR, conn_options=AT_ONCE))
    assert between.requests == []
    assert "proxy" not in str(error.error)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        (f"agent:{PASSWORD}@127.0.0.1:3128", "its address must begin with http://, https://, s"),
        ("127.0.0.1:3128", "its address must begin with http://"),
        ("ftp://127.0.0.1:3128", "its address must begin with http://"),
        (f"http://agent:{PASSWORD}@127.0.0.1:3128", "in a password, : / ? # @ are written as"),
        (f"http://agent:%FF{QUOTED}@127.0.0.1:3128", "and other characters in UTF-8"),
        (f"http://agent:{QUOTED}@127.0.0.1:99999", "its host or its port is wrong"),
        (f"http://agent:{QUOTED}@127.0.0.1:port", "its host or its port is wrong"),
        (f"http://agent:{QUOTED}@[::1:3128", "its host or its port is wrong"),
        (f"http://agent:{QUOTED}@proxy..test:3128", "its host or its port is wrong"),
        (f"http://agent:{QUOTED}@127.0.0.1:0", "must have a host, and a port from 1 to 65535"),
        (f"http://agent:{QUOTED}@", "must have a host, and a port from 1 to 65535"),
        (f"http://agent:{QUOTED}@127.0.0.1:3128/x", "its address must end with the port"),
        (f"http://agent:{QUOTED}@127.0.0.1:3128?x", "its address must end with the port"),
        (f"http://{QUOTED}@127.0.0.1:3128", "a colon and the password are missing"),
        (f"socks5h://agent:{QUOTED}@127.0.0.1:1080", 'pip install "python-socks[asyncio]"'),
    ],
)
@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy"])
async def test_a_proxy_that_cannot_be_used_is_named_with_what_to_change(  # noqa: PLR0917
    variable, address, says, make_model, monkeypatch, caplog
):
    monkeypatch.setitem(sys.modules, "python_socks", None)
    monkeypatch.setenv(variable, address)
    [error] = await failure(make_model(base_url=FAR, conn_options=AT_ONCE))
    assert not error.recoverable
    assert f"the proxy in {variable} cannot be used: " in str(error.error)
    assert says in str(error.error)
    assert "fault" not in str(error.error)
    assert_shows_no_password(caplog, error.error)


@ESCAPES
async def test_a_proxy_that_wants_another_password_is_named(
    make_model, server, monkeypatch, caplog
):
    async with proxy(server.url, user="agent:another") as between:
        monkeypatch.setenv("http_proxy", f"http://agent:{QUOTED}@{between.address}")
        [error] = await failure(make_model(base_url=FAR, conn_options=AT_ONCE))
    assert not error.recoverable
    assert (
        f"the proxy {between.address} (http_proxy) refused the connection with HTTP 407: check "
        "user and password in its address"
    ) in str(error.error)
    assert_shows_no_password(caplog, error.error)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        (("http_proxy", "all_proxy"), "http_proxy"),
        (("https_proxy", "http_proxy"), "https_proxy"),
        (("socks_proxy", "https_proxy"), "socks_proxy"),
        (("ws_proxy", "socks_proxy"), "ws_proxy"),
    ],
)
def test_the_first_of_several_proxies_counts(variables, named, monkeypatch):
    for variable in variables:
        monkeypatch.setenv(variable, "nonsense")
    with pytest.raises(proxies.UnusableProxy, match=f"the proxy in {named} "):
        proxies.proxy_for(FAR)


@pytest.mark.parametrize(
    ("excluded", "host", "is_direct"),
    [
        ("*", "phonic.test", True),
        (".test", "phonic.test", True),
        (" a, PHONIC.test ", "phonic.test", True),
        ("phonic.test:443", "phonic.test", True),
        ("phonic.test:80", "phonic.test", False),
        ("nic.test", "phonic.test", False),
        ("2001:db8::1", "[2001:db8::1]", True),
        ("2001:db8::2", "[2001:db8::1]", False),
    ],
)
def test_no_proxy_is_read_as_everywhere_in_python(excluded, host, is_direct, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "http://[::1]:3128")
    monkeypatch.setenv("NO_PROXY", excluded)
    found = proxies.proxy_for(f"wss://{host}")
    assert str(found) == str(None if is_direct else "the proxy [::1]:3128 (all_proxy)")


@ESCAPES
async def test_a_proxy_that_is_down_is_named_and_tried_again(make_model, monkeypatch, caplog):
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{reserved.getsockname()[1]}"
        monkeypatch.setenv("http_proxy", f"http://agent:{QUOTED}@{address}")
        errors = await failure(make_model(base_url=FAR, conn_options=AT_ONCE))
    assert [error.recoverable for error in errors] == [True, False]
    for error in errors:
        assert f"no connection to {FAR} through the proxy {address} (http_proxy)" in str(
            error.error
        )
        assert_shows_no_password(caplog, error.error)


@ESCAPES
@pytest.mark.parametrize(
    "answer",
    ["HTTP/1.1 502 {0}\r\nX: {0}\r\n\r\n", "{0}\r\n\r\n", "HTTP/1.1 200 OK\r\n{0}\r\n\r\n"],
)
async def test_what_a_proxy_repeats_of_secrets_is_told_nowhere(
    answer, make_model, monkeypatch, caplog
):
    async with answering(answer.format(f"{PASSWORD} {QUOTED} {KEY}")) as address:
        monkeypatch.setenv("http_proxy", f"http://agent:{QUOTED}@{address}")
        errors = await failure(make_model(base_url=FAR, conn_options=AT_ONCE))
    assert_shows_no_password(caplog, *(error.error for error in errors))


async def test_a_proxy_that_goes_away_leaves_no_traceback_in_the_log(
    make_model, monkeypatch, caplog
):
    async with proxy("", answer="") as between:
        monkeypatch.setenv("http_proxy", f"http://{between.address}")
        model = make_model(base_url=FAR, conn_options=AT_ONCE)
        await failure(model)
        # Also where the session is closed meanwhile, after so many turns of the event loop.
        for turns in range(8):
            session = model.session()
            for _ in range(turns):
                await asyncio.sleep(0)
            await session.aclose()
        gc.collect()
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []
