"""The key stays where it belongs, and what others say stays text."""

from __future__ import annotations

import json
import logging
import re
import traceback
from base64 import b64encode
from urllib.parse import quote

import pytest
from livekit.agents import APIConnectOptions, llm
from support.commands import run
from support.http import answering
from support.scripted import KEY, SILENCE, Emitted, conversation, read, settle, started
from websockets.asyncio.server import serve

from phonic_fsm import (
    ConfigurationEndpoint,
    ConnectionFailed,
    RealtimeModel,
    ReplyFailed,
    ToolCallSettled,
)
from phonic_fsm._core import effects
from phonic_fsm._core.context import Settings
from phonic_fsm._runtime.secrets import Secrets
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm._wire.config import ConfigOptions
from phonic_fsm.trace import TraceReader, replay
from phonic_fsm.trace._masking import Masking

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


# -- the key as it is given ----------------------------------------------------------------------


@pytest.mark.parametrize("padding", ["\n", "\r\n", " ", "\t", "\xa0", "\u2028"])
async def test_white_space_around_the_key_is_taken_off(padding, make_model, server):
    async with started(make_model(api_key=f"{padding}{KEY}{padding}")):
        assert (await server.accept()).headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (KEY, f"\n{KEY}", "character 31 is white space or a line break"),
        (KEY, "\r\nX-Admin: yes", "white space or a line break"),
        (KEY, " of mine", "white space or a line break"),
        ("\ufeff", KEY, "character 1 is an invisible one (U+FEFF)"),
        (KEY, "\u200b", "an invisible one (U+200B)"),
        ('"', KEY + '"', "character 1 is a quote or a backslash"),
        ("'", KEY + "'", "a quote or a backslash"),
        (KEY, "\\n", "a quote or a backslash"),
        (KEY, "\0", "a control character"),
        (KEY, "\x1b[2J", "a control character"),
        (KEY, "\x7f", "a control character"),
        (KEY, "é", "not in ASCII"),
        (KEY, "\udc80", "not in ASCII"),
    ],
)
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(before, after, says, monkeypatch):
    monkeypatch.setenv("PHONIC_API_KEY", "")
    with pytest.raises(ValueError, match="api_key") as caught:
        RealtimeModel(api_key=before + after)
    assert says in str(caught.value)
    assert KEY not in spelled_out(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("key", [7, KEY.encode(), [KEY]])
def test_a_key_that_is_no_text_is_refused_and_not_shown(key):
    with pytest.raises(ValueError, match="api_key must be a string, got") as caught:
        RealtimeModel(api_key=key)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("key", ["", "\n", " "])
def test_a_blank_key_is_none(key):
    with pytest.raises(ValueError, match="a Phonic API key is required"):
        RealtimeModel(api_key=key)


# -- what others say -----------------------------------------------------------------------------

HEADER = "tk-0123456789-of-the-endpoint"
QUERY = "qv-0123456789-of-the-endpoint"
LATER = 'Digest realm="<later>", tk-9876543210'

ENDPOINT: ConfigurationEndpoint = {
    "url": f"https://example.com/config?token={QUERY}",
    "headers": {"Authorization": f"Bearer {HEADER}"},
}
CHANGED_ENDPOINT: ConfigurationEndpoint = {**ENDPOINT, "headers": {"Authorization": LATER}}

SECRETS = (KEY, HEADER, QUERY, LATER)

ECHO = f"you sent {KEY}, Bearer {HEADER}, {QUERY}, {quote(LATER, safe='')} and {LATER}"
"""What a server says that repeats what it was sent."""

ECHOES = (
    phonic.Error(phonic.Problem(ECHO, ECHO), {ECHO: ECHO}),
    phonic.Warning(phonic.Problem(ECHO, ECHO)),
    phonic.UserStartedSpeaking(),
    phonic.UserFinishedSpeaking(),
    phonic.InputText(ECHO, ECHO),
    phonic.AssistantStartedSpeaking(),
    phonic.AudioChunk(SILENCE, ECHO),
    phonic.AssistantFinishedSpeaking(),
    phonic.InterruptedResponse(ECHO),
    phonic.Dtmf(ECHO),
    phonic.ToolCall("c1", "t", {ECHO: ECHO}),
    phonic.ToolCallInterrupted("c1", ECHO),
    phonic.ToolCall("c2", ECHO),
    phonic.ToolCallOutputProcessed(
        tool_call_id="c2",
        tool=phonic.CalledTool(ECHO, ECHO),
        tool_config={"a": ECHO},
        endpoint_url=ECHO,
        query_params={"a": ECHO},
        response_body=[ECHO],
        error_message=ECHO,
    ),
    phonic.ToolCallOutputProcessed(tool_call_id=ECHO, error_message=ECHO),
    phonic.ConversationCreated(ECHO),
)


def assert_holds_none(said, secrets=SECRETS):
    """No secret is in what was said, as it is, in JSON, or in JSON that is in JSON."""
    for secret in secrets:
        inner = json.dumps(secret)[1:-1]
        for form in (secret, inner, json.dumps(inner)[1:-1], quote(secret, safe="")):
            assert form not in said


@pytest.mark.parametrize("redacted", [False, True], ids=["plain", "redacted"])
async def test_what_a_server_repeats_of_secrets_is_told_nowhere(  # noqa: PLR0917
    redacted, make_model, server, all_logs, exported, tmp_path
):
    path = tmp_path / "call.jsonl"
    model = make_model(
        trace=path, redact_trace=redacted, configuration_endpoint=ENDPOINT, conn_options=ONCE
    )
    async with conversation(model, server) as (session, peer, emitted):
        told = everything_emitted(session)
        session.on("input_audio_transcription_completed", tell_by_raising)
        session.on("error", tell_by_raising)
        session.update_options(configuration_endpoint=CHANGED_ENDPOINT)
        await peer.expect(client.Reset)
        await peer.send(*ECHOES)
        await peer.send_raw(json.dumps({"type": ECHO}))
        await peer.send_raw(json.dumps({"type": "input_text", "text": {ECHO: ECHO}}))
        await settle(peer, emitted)
        said_by_the_server = list(told)
        await session.update_instructions(f"Say {ECHO}.")
        reply = session.generate_reply()
        await peer.expect(client.UpdateSystemPrompt)
        await peer.close(4000, f"{KEY} {HEADER} {QUERY}")
        await emitted.state("closed")
        with pytest.raises(ReplyFailed):
            await reply

    errors = [told_of.error for told_of in told if isinstance(told_of, llm.RealtimeModelError)]
    assert len(errors) == 2
    settled = [told_of for told_of in told if isinstance(told_of, ToolCallSettled)]
    assert [call.outcome for call in settled] == ["interrupted", "failed", "failed"]
    for value in (*errors, *settled):
        assert_holds_none(spelled_out(value))
    # What is said in a conversation stays as it is, but for the key.
    assert HEADER in spelled_out([t for t in told if hasattr(t, "transcript")])
    for value in said_by_the_server:
        assert KEY not in spelled_out(value)

    assert len([record for record in all_logs.records if "***" in record.getMessage()]) > 8
    for record in all_logs.records:
        if record.name != "websockets.server":
            assert_holds_none(all_logs.handler.format(record) + repr(vars(record)))

    assert_holds_none(path.read_text())
    assert [step.difference for step in replay(path)].count(None) == len(list(replay(path)))
    spans = exported.everything()
    assert spans.count("***") > 8
    assert_holds_none(spans)
    page = tmp_path / "page.html"
    for command in (
        ("replay", path, "--full"),
        ("replay", path, "--json"),
        ("stats", path),
        ("report", path, "--out", page),
    ):
        result = run(*command)
        assert result.returncode == 0, result.stderr
        assert_holds_none(result.stdout + result.stderr)
    assert_holds_none(page.read_text())


KEY_IN_WORDS = "sk-te/st&key+that=must/not<leak"


@pytest.mark.parametrize(
    "written",
    [
        KEY_IN_WORDS.replace("/", r"\/"),
        KEY_IN_WORDS.replace("&", r"\u0026").replace("<", r"\u003C"),
        "".join(rf"\u{ord(character):04x}" for character in KEY_IN_WORDS),
    ],
    ids=["as PHP does", "as Go does", "all"],
)
async def test_a_key_that_is_repeated_in_escapes_is_told_nowhere(
    written, make_model, server, caplog, tmp_path
):
    path = tmp_path / "call.jsonl"
    model = make_model(api_key=KEY_IN_WORDS, trace=path)
    async with conversation(model, server) as (session, peer, emitted):
        told = everything_emitted(session)
        call = f'"tool_call_id":"c1","tool_name":"t","parameters":{{"{written}":["{written}"]}}'
        await peer.send_raw(f'{{"type":"input_text","text":"{written}"}}')
        await peer.send_raw(f'{{"type":"{written}"}}')
        await peer.send_raw(f'{{"type":"tool_call",{call}}}')
        heard = await read(await emitted.next("generation_created"))
        assert [call.arguments for call in heard.calls] == ['{"***":["***"]}']
        said = "".join(map(spelled_out, [*told, *session.chat_ctx.items])) + caplog.text
    assert "'***'" in said
    assert KEY_IN_WORDS not in said + path.read_text()


ODD = "Digest \"both\" and 'both' \\ <ä/&>"
IN_BASIC = "user-of-the-endpoint:pass/word:of it"


@pytest.mark.parametrize(
    ("value", "repeated"),
    [
        (ODD, ODD),
        (ODD, repr(ODD)),
        (ODD, json.dumps(ODD)),
        (ODD, json.dumps(ODD, ensure_ascii=False).replace("<", r"\u003c")),
        (ODD, quote(ODD, safe="")),
        (ODD, re.sub("%..", lambda escape: escape.group().lower(), quote(ODD, safe=""))),
        *(("tk-0123456789", b64encode(b"ab"[:n] + b"tk-0123456789").decode()) for n in range(3)),
        ("tk-0123456789", b64encode(b"tk-0123456789:-)").decode()),
        ("Bearer tk-0123456789", "tk-0123456789"),
        (f"Basic {b64encode(IN_BASIC.encode()).decode()}", "pass/word:of it"),
        (f"basic {b64encode(IN_BASIC.encode()).decode()}", "user-of-the-endpoint"),
    ],
)
def test_a_header_is_found_however_it_is_repeated(value, repeated):
    secrets = Secrets(KEY)
    endpoint = {"url": "https://example.com", "headers": {"X-Name": value}}
    secrets.learn(ConfigOptions(configuration_endpoint=endpoint))
    hidden = secrets.hide(f"-{repeated}-")
    assert "***1" in hidden
    assert len(hidden) < len("-***1-") + 10, "what is left of base64 tells two characters at most"


@pytest.mark.parametrize(
    ("query", "masked", "repeated"),
    [
        ("", "", None),
        ("?token=tk-0123456789", "?token=***1", "tk-0123456789"),
        ("?tk-0123456789", "?***1", "tk-0123456789"),
        ("?a=tk%2f0123456789&flag", "?a=***1&***2", "tk/0123456789"),
        ("?a=tk%2f0123456789&flag", "?a=***1&***2", "tk%2f0123456789"),
        ("?a=dGstMDEyMzQ1==&b=", "?a=***1&***2", "dGstMDEyMzQ1=="),
        ("?dGstMDEyMzQ1==", "?***1", "dGstMDEyMzQ1=="),
        ("?&x=tk-0123456789", "?&x=***1", "tk-0123456789"),
    ],
)
def test_each_value_in_a_query_is_masked(query, masked, repeated):
    secrets = Secrets(KEY)
    config = ConfigOptions(configuration_endpoint={"url": f"https://example.com/path{query}"})
    secrets.learn(config)
    told = Masking(secrets).settings(Settings(id_seed="", config=config)).config
    assert told.configuration_endpoint == {"url": f"https://example.com/path{masked}"}
    if repeated:
        assert secrets.hide(f"no {repeated}!") == "no ***1!"


async def test_no_beginning_of_a_secret_is_left_where_a_text_is_cut(make_model, server, caplog):
    caplog.set_level(logging.DEBUG, "phonic_fsm")
    async with conversation(make_model(configuration_endpoint=ENDPOINT), server) as (
        _,
        peer,
        emitted,
    ):
        for length in range(100 - len(HEADER), 100):
            await peer.send_raw(json.dumps({"type": "x" * length + HEADER}))
        await settle(peer, emitted)
    assert HEADER[:4] not in caplog.text
    assert "xx***" in caplog.text


def tell_by_raising(told):
    if isinstance(told, llm.RealtimeModelError):
        raise told.error
    raise LookupError(told)


async def test_short_secrets_are_masked_where_they_stand_and_spoil_no_trace(
    make_model, server, tmp_path
):
    path = tmp_path / "call.jsonl"
    endpoint = {"url": "https://example.com/?pin=1", "headers": {"X-Mode": "event", "X-N": "00"}}
    model = make_model(trace=path, configuration_endpoint=endpoint)
    async with conversation(model, server) as (_, peer, emitted):
        await peer.speak("event 001")
        await settle(peer, emitted)
    assert [step.difference for step in replay(path)].count(None) == len(list(replay(path)))
    config = TraceReader(path).header.settings.config
    assert config.configuration_endpoint == {
        "url": "https://example.com/?pin=***3",
        "headers": {"X-Mode": "***1", "X-N": "***2"},
    }
    assert '"text":"event 001"' in path.read_text()


@pytest.mark.parametrize(
    "answer",
    [
        f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {KEY}\r\n\r\n",
        f"HTTP/1.1 101 {KEY}\r\nConnection: {KEY}\r\n\r\n",
        f"HTTP/1.1 999 {KEY}\r\n\r\n",
        f"HTTP/1.1 401 {KEY}\r\nRetry-After: 1\r\nRetry-After: {KEY}\r\n\r\n",
        f"{KEY}\r\n\r\n",
        f"HTTP/1.1 200 OK\r\n{KEY}\r\n\r\n",
    ],
)
async def test_a_handshake_that_repeats_the_key_tells_nobody(answer, make_model, all_logs):
    async with answering(answer) as address:
        model = make_model(base_url=f"ws://{address}", conn_options=ONCE)
        async with started(model) as (session, emitted):
            session.on("error", tell_by_raising)
            error = (await emitted.next("error")).error
            await emitted.state("closed")
    assert isinstance(error, ConnectionFailed)
    assert KEY not in spelled_out(error)
    assert "a listener of error raised" in all_logs.text
    for record in all_logs.records:
        assert KEY not in all_logs.handler.format(record) + repr(vars(record))


async def test_a_fault_that_quotes_a_secret_is_logged_without_it(make_model, server, all_logs):
    model = make_model(configuration_endpoint=ENDPOINT)
    async with conversation(model, server) as (session, peer, emitted):

        def fail(_):
            raise LookupError(f"no {KEY}\x1b[2J") from ValueError(f"no {HEADER}")

        session._runtime._perform[effects.PushText] = fail
        await peer.send(phonic.AudioChunk(SILENCE, "Hello."))
        await emitted.state("closed")
    assert "LookupError: no ***\\x1b[2J" in all_logs.text
    assert "ValueError: no ***" in all_logs.text
    for record in all_logs.records:
        if record.name != "websockets.server":
            assert_holds_none(all_logs.handler.format(record) + repr(vars(record)), (KEY, HEADER))


async def test_a_trace_function_that_quotes_a_secret_is_reported_without_it(
    make_model, server, all_logs
):
    def collect(session, line):
        raise OSError(f"the collector refuses {KEY}")

    async with conversation(make_model(trace=collect), server):
        pass
    assert "the collector refuses ***" in all_logs.text


# -- who gets the key ----------------------------------------------------------------------------


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


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
async def test_a_redirect_is_told_and_not_followed(status, make_model, all_logs):
    requests = []
    async with answering("HTTP/1.1 503 Busy\r\n\r\n", requests) as elsewhere:
        target = elsewhere.replace("127.0.0.1", "localhost")
        answer = f"HTTP/1.1 {status} Moved\r\nLocation: ws://u:p@{target}/x?token=t0ken\r\n\r\n"
        async with answering(answer) as address:
            model = make_model(base_url=f"ws://{address}", conn_options=ONCE)
            async with started(model) as (_, emitted):
                error = (await emitted.next("error")).error
                await emitted.state("closed")
    assert requests == []
    assert f"HTTP {status}: a redirect to host localhost, which is not followed" in str(error)
    assert "set base_url or PHONIC_BASE_URL" in str(error)
    assert "t0ken" not in spelled_out(error) + all_logs.text


@pytest.mark.parametrize(("status", "attempts"), [(301, 1), (302, 3), (307, 3), (308, 1)])
async def test_only_a_redirect_that_may_pass_is_tried_again(status, attempts, make_model):
    requests = []
    answer = f"HTTP/1.1 {status} Moved\r\nLocation: /elsewhere\r\n\r\n"
    async with answering(answer, requests) as address:
        options = APIConnectOptions(max_retry=2, retry_interval=0, timeout=5)
        async with started(make_model(base_url=f"ws://{address}", conn_options=options)) as (
            _,
            emitted,
        ):
            error = (await emitted.next("error")).error
            await emitted.state("closed")
    assert len(requests) == attempts
    assert "a redirect to host 127.0.0.1" in str(error)


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("Location: wss://[::1/", "an address that cannot be read"),
        ("Location: mailto:", "an address that cannot be read"),
        ("X-No: location", "no address"),
        ("Location: https://[::1]:8443/", "host ::1, which"),
        ("Location: //elsewhere.test:1", "host elsewhere.test, which"),
        (f"Location: wss://{KEY.upper()}.test", "host ***.test, which"),
        (f"Location: wss://{'x' * 95}{KEY.upper()}", "host " + "x" * 95 + "***"),
    ],
)
async def test_a_redirect_is_told_by_its_host_alone(location, told, make_model):
    async with answering(f"HTTP/1.1 302 Found\r\n{location}\r\n\r\n") as address:
        model = make_model(api_key=KEY.upper(), base_url=f"ws://{address}", conn_options=ONCE)
        async with started(model) as (_, emitted):
            error = (await emitted.next("error")).error
    assert f"HTTP 302: a redirect to {told}" in str(error)


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
