"""From the session's making to the config: the socket, the inputs, and what may go wrong."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest
from livekit.agents import APIConnectOptions
from support.scripted import KEY, Emitted, started
from websockets.sync.server import serve

import phonic_fsm
from phonic_fsm import RealtimeModel, State
from phonic_fsm._core import events
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic

pytestmark = pytest.mark.anyio

AT_ONCE = APIConnectOptions(max_retry=2, retry_interval=0, timeout=5)


async def give(session, what):
    if what == "instructions":
        await session.update_instructions("Be kind.")
    elif what == "tools":
        await session.update_tools([])
    else:
        await session._update_session(instructions="Be kind.", tools=[])


async def test_a_session_connects_in_the_background_with_the_key(make_model, server):
    async with started(make_model()) as (session, emitted):
        assert session.state is State.connecting
        peer = await server.accept()
        await emitted.state("awaiting_inputs")
        assert peer.path == "/v1/sts/ws"
        assert peer.headers["Authorization"] == f"Bearer {KEY}"
        assert peer.headers["x-phonic-client"] == f"phonic-fsm/{phonic_fsm.__version__}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["instructions", "tools"], []),
        (["tools", "instructions"], []),
        (["session"], []),
        (["instructions"], ["tools"]),
        (["tools"], ["instructions"]),
        ([], ["instructions", "tools"]),
        ([], ["tools", "instructions"]),
        ([], ["session"]),
    ],
    ids=lambda inputs: "+".join(inputs) or "none",
)
async def test_the_config_goes_out_once_when_socket_and_inputs_are_there(
    before, after, make_model, server
):
    async with started(make_model()) as (session, emitted):
        for what in before:
            await give(session, what)
        assert session.state is State.connecting
        peer = await server.accept()
        if after:
            await emitted.state("awaiting_inputs")
        for what in after:
            await give(session, what)
        config = await peer.open_conversation()
        assert config.system_prompt == "Be kind."
        await emitted.state("ready")
    assert await peer.receive() is None


@pytest.mark.parametrize("what", ["instructions", "tools"])
async def test_no_config_goes_out_while_an_input_is_missing(what, make_model, server):
    async with started(make_model()) as (session, emitted):
        await give(session, what)
        peer = await server.accept()
        await emitted.state("awaiting_inputs")
        await give(session, what)
    assert await peer.receive() is None


async def test_the_last_values_before_the_config_are_the_ones_sent(make_model, server):
    async with started(make_model()) as (session, _):
        await session.update_instructions("First.")
        await session.update_instructions("Second.")
        await session.update_tools([])
        peer = await server.accept()
        assert (await peer.open_conversation()).system_prompt == "Second."


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "PHONIC_API_KEY"), (403, "key"), (404, "PHONIC_BASE_URL")]
)
async def test_a_hopeless_refusal_ends_the_session_with_advice_and_no_retry(
    status, advice, make_model, server
):
    server.refuse = status
    async with started(make_model(conn_options=AT_ONCE)) as (session, emitted):
        error = await emitted.next("error")
        await emitted.state("closed")
        assert session.state is State.closed
        assert "error" not in [name for name, _ in emitted.rest()]
    assert error.recoverable is False
    assert str(status) in str(error.error)
    assert advice in str(error.error)
    assert KEY not in str(error.error)
    assert server.handshakes == 1


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_passing_refusal_is_retried_as_often_as_conn_options_says(
    status, make_model, server
):
    server.refuse = status
    async with started(make_model(conn_options=AT_ONCE)) as (_, emitted):
        errors = [payload for name, payload in await emitted.before("state_changed")]
    assert [error.recoverable for error in errors] == [True, True, False]
    assert all(str(status) in str(error.error) for error in errors)
    assert server.handshakes == 3


@pytest.mark.parametrize(
    ("header", "pause"), [("7", "in 7 s"), ("3600", "in 30 s"), ("Wed, 21 Oct 2026", "in 0.")]
)
async def test_a_server_that_asks_for_a_pause_gets_it(header, pause, make_model, server):
    server.refuse, server.retry_after = 429, header
    async with started(make_model()) as (_, emitted):
        error = await emitted.next("error")
    assert error.recoverable
    assert f"attempt 2 of 4 {pause}" in str(error.error)


async def test_a_host_that_has_no_address_is_tried_again(make_model):
    model = make_model(base_url="ws://phonic.invalid:1", conn_options=AT_ONCE)
    async with started(model) as (_, emitted):
        errors = [payload for name, payload in await emitted.before("state_changed")]
    assert [error.recoverable for error in errors] == [True, True, False]
    assert "phonic.invalid" in str(errors[0].error)


@pytest.mark.parametrize(
    ("url", "warns"),
    [
        ("ws://example.com", True),
        ("ws://10.0.0.7:8765", True),
        ("wss://example.com", False),
        ("ws://127.0.0.1:8765", False),
        ("ws://[::1]:8765", False),
        ("ws://localhost:8765", False),
        ("WS://example.com", True),
        ("WSS://example.com", False),
        *(
            (f"ws://{host}:8765", False)
            for host in (
                "LOCALHOST",
                "localhost.",
                "phonic.localhost",
                "127.0.0.53",
                "127.1",
                "2130706433",
                "0.0.0.0",
                "[::]",
                "[::1%lo]",
                "[::ffff:127.0.0.1]",
            )
        ),
        *((f"ws://{host}", True) for host in ("localhost.example.com", "128.1", "[::2]")),
    ],
)
async def test_an_address_without_encryption_warns_unless_it_is_this_machine(
    url, warns, make_model, caplog
):
    make_model(base_url=url)
    assert ("not encrypted" in caplog.text) is warns


async def test_an_address_with_credentials_is_refused_and_not_shown(make_model):
    with pytest.raises(ValueError, match="must hold no credentials") as caught:
        make_model(base_url="wss://me:secret@example.com")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("wss://api.phonic.ai:99999", "the port must be a number from 1 to 65535"),
        ("wss://api.phonic.ai:0", "the port must be a number from 1 to 65535"),
        ("wss://api.phonic.ai:https", "the port must be a number from 1 to 65535"),
        ("wss://api..phonic.ai", "a part of the host's name is empty or too long"),
        ("wss://.phonic.ai", "a part of the host's name is empty or too long"),
        (f"wss://{'a' * 64}.ai", "a part of the host's name is empty or too long"),
        ("wss://[::1", "the host is no name and no address"),
        ("wss://api／phonic.ai", "the host is no name and no address"),
        ("wss://api.phonic.ai:443:443", "the port must be a number from 1 to 65535"),
        ("wss://", "it has no host"),
        ("wss://:443", "it has no host"),
        ("https://api.phonic.ai", "it does not begin with ws:// or wss://"),
        ("api.phonic.ai", "it does not begin with ws:// or wss://"),
        ("wss://api.phonic.ai /x", "it holds white space or a character that cannot be seen"),
        ("wss://api.\nphonic.ai", "it holds white space or a character that cannot be seen"),
        ("wss://api.\u200bphonic.ai", "it holds white space or a character that cannot be seen"),
        (7, "base_url must be a string, got int"),
    ],
)
def test_an_address_that_cannot_work_is_refused_at_the_start(url, says):
    with pytest.raises(ValueError, match="base_url") as caught:
        RealtimeModel(api_key=KEY, base_url=url)
    assert says in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "url",
    [
        "wss://api.phonic.ai?session_token=secret",
        "wss://api.phonic.ai/#secret",
        "wss://secret@api.phonic.ai",
        "wss://me:secret@api.phonic.ai:99999",
        "wss://api..phonic.ai?secret",
    ],
)
def test_an_address_with_a_secret_is_refused_and_not_shown(url, monkeypatch):
    monkeypatch.setenv("PHONIC_BASE_URL", url)
    with pytest.raises(ValueError, match="base_url must") as caught:
        RealtimeModel(api_key=KEY)
    assert "secret" not in str(caught.value)


def test_a_key_in_the_place_of_the_address_is_refused_and_not_shown():
    with pytest.raises(ValueError, match="base_url must be a websocket URL") as caught:
        RealtimeModel(api_key=KEY, base_url=KEY)
    assert KEY not in str(caught.value)


def test_white_space_around_an_address_is_taken_off():
    model = RealtimeModel(api_key=KEY, base_url=" wss://api.phonic.ai\n")
    assert model._endpoint.base_url == "wss://api.phonic.ai"


async def test_an_address_may_be_written_in_capitals(make_model, server):
    async with started(make_model(base_url=server.url.upper())) as (_, emitted):
        await emitted.state("awaiting_inputs")
    assert RealtimeModel(api_key=KEY, base_url="WSS://Phonic.test")._endpoint.request()[0] == (
        "wss://Phonic.test/v1/sts/ws"
    )


async def test_without_retries_the_first_failure_is_the_last(make_model, server):
    server.refuse = 503
    options = APIConnectOptions(max_retry=0, retry_interval=0, timeout=5)
    async with started(make_model(conn_options=options)) as (_, emitted):
        assert (await emitted.next("error")).recoverable is False
        await emitted.state("closed")
    assert server.handshakes == 1


async def test_a_server_that_comes_back_gets_the_config(make_model, server):
    server.refuse = 503
    async with started(make_model(conn_options=AT_ONCE)) as (session, emitted):
        await give(session, "session")
        assert (await emitted.next("error")).recoverable is True
        server.refuse = None
        peer = await server.accept()
        await peer.open_conversation()
        await emitted.state("ready")


async def test_where_nothing_listens_the_session_ends(make_model):
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{reserved.getsockname()[1]}"
        async with started(make_model(base_url=url, conn_options=AT_ONCE)) as (_, emitted):
            errors = [payload for name, payload in await emitted.before("state_changed")]
    assert [error.recoverable for error in errors] == [True, True, False]
    assert all(url in str(error.error) for error in errors)


async def test_a_server_that_never_answers_the_handshake_is_given_up(make_model):
    async with await asyncio.start_server(_say_nothing, "127.0.0.1", 0) as mute:
        url = f"ws://127.0.0.1:{mute.sockets[0].getsockname()[1]}"
        options = APIConnectOptions(max_retry=1, retry_interval=0, timeout=0.05)
        async with started(make_model(base_url=url, conn_options=options)) as (_, emitted):
            errors = [payload for name, payload in await emitted.before("state_changed")]
    assert [error.recoverable for error in errors] == [True, False]
    assert "0.05 s" in str(errors[0].error)


async def test_a_server_that_never_gets_ready_is_given_up(make_model, server):
    options = APIConnectOptions(max_retry=0, retry_interval=0, timeout=0.5)
    async with started(make_model(conn_options=options)) as (session, emitted):
        await give(session, "session")
        peer = await server.accept()
        await peer.expect(client.Config)
        await peer.send(phonic.ConversationCreated("conv_1"))
        error = await emitted.next("error")
        assert error.recoverable is False
        assert "ready" in str(error.error)
        await emitted.state("closed")
        assert await peer.receive() is None


@pytest.mark.parametrize("how", ["lost", "overdue"])
async def test_a_server_that_does_not_get_ready_is_tried_again(how, make_model, server):
    async with started(make_model(conn_options=AT_ONCE)) as (session, emitted):
        await give(session, "session")
        peer = await server.accept()
        await peer.expect(client.Config)
        await peer.send(phonic.ConversationCreated("conv_1"))
        await emitted.state("config_sent")
        context = session.chat_ctx
        context.add_message(role="system", content="The shop closes soon.")
        await session.update_chat_ctx(context)
        if how == "lost":
            peer.cut()
        else:
            session._runtime.dispatch(events.AnswerOverdue())
        error = await emitted.next("error")
        assert error.recoverable is True
        assert "attempt 2 of 3" in str(error.error)
        assert await peer.receive() is None
        assert how == "lost" or peer.close_code == 1000
        again = await server.accept()
        assert "reconnect_conv_id" not in again.path
        config = await again.open_conversation()
        assert "The shop closes soon." in config.system_prompt
        await emitted.state("ready")
    assert await again.receive() is None, "what the config has said is not said twice"


async def test_a_server_that_closes_before_it_is_ready_ends_the_session(make_model, server):
    async with started(make_model(conn_options=AT_ONCE)) as (session, emitted):
        await give(session, "session")
        peer = await server.accept()
        await peer.expect(client.Config)
        await peer.close(4000, "no capacity")
        error = await emitted.next("error")
        assert error.recoverable is False
        assert "4000" in str(error.error)
        assert "no capacity" in str(error.error)
        await emitted.state("closed")
    assert server.handshakes == 1


async def test_retries_start_anew_after_a_connection_that_served(make_model, server):
    model = make_model(conn_options=APIConnectOptions(max_retry=1, retry_interval=0, timeout=5))
    server.refuse = 503
    session = model.session()
    emitted = Emitted(session)
    try:
        await give(session, "session")
        await emitted.next("error")
        server.refuse = None
        peer = await server.accept()
        await peer.open_conversation()
        await emitted.state("ready")
        server.refuse = 503
        peer.cut()
        await emitted.state("reconnecting")
        assert (await emitted.next("error")).recoverable is True
        server.refuse = None
        resumed = await server.accept()
        assert "reconnect_conv_id=conv_1" in resumed.path
    finally:
        await session.aclose()


async def _say_nothing(reader, writer):
    await reader.read()
    writer.close()


def test_a_timer_connects_where_only_asyncio_runs():
    """As in a LiveKit worker. In the other tests anyio runs the loop, and knows it everywhere."""

    async def try_to_connect():
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            url = f"ws://127.0.0.1:{nobody.getsockname()[1]}"
            model = phonic_fsm.RealtimeModel(api_key=KEY, base_url=url, conn_options=AT_ONCE)
            async with started(model) as (_, emitted):
                await emitted.state("closed")

    asyncio.run(try_to_connect())


def test_an_answer_that_came_while_the_process_was_held_up_counts():
    """By the wall's clock, and with a server that answers meanwhile."""
    timeout = 0.2
    held_up, answered = threading.Event(), threading.Event()

    def hold_up():
        held_up.set()
        answered.wait()
        time.sleep(2 * timeout)

    def converse(connection):
        answered.set()
        for _ in connection:
            pass

    async def connect():
        loop = asyncio.get_running_loop()

        def answer(connection, request):
            loop.call_soon_threadsafe(hold_up)
            held_up.wait()

        with serve(converse, "127.0.0.1", 0, process_request=answer) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            host, port = server.socket.getsockname()
            options = APIConnectOptions(max_retry=0, retry_interval=0, timeout=timeout)
            model = phonic_fsm.RealtimeModel(
                api_key=KEY, base_url=f"ws://{host}:{port}", conn_options=options
            )
            async with started(model) as (_, emitted):
                assert await emitted.before("state_changed") == []
            server.shutdown()
            thread.join()

    asyncio.run(connect())
