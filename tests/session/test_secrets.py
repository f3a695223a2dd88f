"""The key stays where it belongs, and what others say stays text."""

from __future__ import annotations

import json
import logging
import traceback

import pytest
from livekit.agents import APIConnectOptions, llm
from support.commands import run
from support.scripted import KEY, Emitted, conversation, settle, started
from websockets.asyncio.server import serve

from phonic_fsm import ConnectionFailed
from phonic_fsm._wire import server as phonic
from phonic_fsm.trace import replay

pytestmark = pytest.mark.anyio

ONCE = APIConnectOptions(max_retry=0, retry_interval=0, timeout=5)


@pytest.fixture
def all_logs(caplog):
    """Everything that is logged, by whomever, at whatever level."""
    loggers = [logging.getLogger(name) for name in (None, *logging.root.manager.loggerDict)]
    former = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    yield caplog
    for logger, level in zip(loggers, former, strict=True):
        logger.setLevel(level)


def everything_emitted(session):
    """Whatever the session emits, from now on."""
    emitted = []
    for name in (*Emitted.NAMES, *MORE_EVENTS):
        session.on(name, emitted.append)
    return emitted


MORE_EVENTS = (
    "remote_item_added",
    "metrics_collected",
    "dtmf",
    "tool_call_settled",
    "phonic_server_event_received",
    "phonic_client_event_queued",
)


def spelled_out(value):
    """A value in every way in which it may get into a log or a report."""
    said = [repr(value), str(value)]
    if isinstance(value, llm.RealtimeModelError):
        value = value.error
    if isinstance(value, BaseException):
        said += traceback.format_exception(value)
        said += [repr(vars(value))]
    return "\n".join(said)


async def test_the_key_is_nowhere(make_model, server, all_logs, tmp_path):
    path = tmp_path / "call.jsonl"
    model = make_model(trace=path, conn_options=ONCE)
    seen = [model, model._endpoint]
    async with conversation(model, server) as (session, peer, emitted):
        assert peer.headers["Authorization"] == f"Bearer {KEY}"
        seen += [session, session._runtime, session._runtime._connection, session._running]
        told = everything_emitted(session)
        session.on("input_speech_started", lambda _: 1 / 0)
        await peer.send(phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking())
        await peer.send(phonic.Error(phonic.Problem("bad", "c"), {"voice_id": "unknown"}))
        await peer.send(phonic.Warning(phonic.Problem("hot")), phonic.ToolCall("c1", "t"))
        await peer.send_raw(b"\xff")
        await peer.send_raw('{"type":"brand_new"}')
        reply = session.generate_reply(instructions="Go on.")
        await settle(peer, emitted)
        await session.update_instructions("Be brief.")
        peer.cut()
        resumed = await server.accept()
        server.refuse = 401
        resumed.cut()
        await emitted.state("closed")
        seen += [reply.exception(), *told]
    server.refuse = 403
    async with started(model) as (session, emitted):
        seen += [await emitted.next("error")]
    assert len(told) > 15
    for value in seen:
        assert KEY not in spelled_out(value)
    assert len(all_logs.records) > 20
    for record in all_logs.records:
        if record.name == "websockets.server":
            continue  # the other side, which is told the key
        assert KEY not in all_logs.handler.format(record)
        assert KEY not in repr(vars(record))
    for file in tmp_path.iterdir():
        assert KEY.encode() not in file.read_bytes()


async def test_a_server_that_cannot_prove_who_it_is_never_gets_the_key(make_model, own_certificate):
    requests = []

    async with serve(
        lambda socket: socket.wait_closed(),
        "127.0.0.1",
        0,
        ssl=own_certificate,
        process_request=lambda _, request: requests.append(request),
    ) as impostor:
        url = f"wss://127.0.0.1:{impostor.sockets[0].getsockname()[1]}"
        async with started(make_model(base_url=url, conn_options=ONCE)) as (_, emitted):
            event = await emitted.next("error")
            await emitted.state("closed")
    assert isinstance(event.error, ConnectionFailed)
    assert event.recoverable is False
    assert "certificate verify failed" in str(event.error)
    assert url in str(event.error)
    assert requests == []


HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\n\t\"'</script>\u202e\x00\x9b31m\u2028{}%s"


async def test_what_is_said_stays_on_its_line(make_model, server, all_logs, tmp_path):
    path = tmp_path / "call.jsonl"
    async with conversation(make_model(trace=path), server) as (_, peer, emitted):
        await peer.speak(HOSTILE)
        await peer.send(
            phonic.InputText(HOSTILE, HOSTILE),
            phonic.Dtmf(HOSTILE),
            phonic.ToolCall(HOSTILE, HOSTILE, {HOSTILE: HOSTILE}),
            phonic.ToolCallInterrupted(HOSTILE, HOSTILE),
            phonic.ToolCall("c2", HOSTILE),
            phonic.ToolCallOutputProcessed(tool_call_id="c2", error_message=HOSTILE),
            phonic.Warning(phonic.Problem(HOSTILE, HOSTILE)),
            phonic.Error(phonic.Problem(HOSTILE, HOSTILE), {HOSTILE: HOSTILE}),
            phonic.ConversationCreated(HOSTILE),
        )
        await peer.send_raw(json.dumps({"type": HOSTILE}))
        await peer.send_raw(json.dumps({"type": HOSTILE}) + "x")
        await settle(peer, emitted)
        await peer.close(4000, "\x1b[2J\n")
        await emitted.state("closed")

    _, *lines = path.read_bytes().split(b"\n")[:-1]
    steps = list(replay(path))
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(steps) + 1))
    assert all(step.difference is None for step in steps)

    for result in (run("replay", path), run("replay", path, "--full"), run("stats", path)):
        assert result.returncode == 0, result.stderr
        assert all(c.isprintable() or c == "\n" for c in result.stdout)
    as_json = run("replay", path, "--json").stdout
    assert len(as_json.splitlines()) == len(steps) + 1
    assert as_json.isascii()

    for record in all_logs.records:
        if record.name == "phonic_fsm":
            assert record.getMessage().isprintable(), record.getMessage()
