"""``phonic-fsm fetch``: Phonic's record of a call, by the SDK's own client, from the simulator."""

from __future__ import annotations

import json
import sys
import wave
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from anyio import to_thread
from jsonschema import Draft202012Validator
from livekit.agents import Agent, AgentSession, function_tool
from support.clock import PatientLoop
from support.commands import Result, assert_is_one_line_and_exit_2, run
from support.http import answering
from support.published import FACTS
from support.scripted import KEY
from support.written_traces import Told, assistant, caller, opening, write

from phonic_fsm.simulator import PhonicSimulator
from phonic_fsm.testing import PhoneCall
from phonic_fsm.trace._service_record import ServiceRecord, read_record, record_file

pytestmark = pytest.mark.anyio

UNAUTHORIZED = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


@pytest.fixture
def anyio_backend():
    """A call takes a twentieth of its time."""
    return "asyncio", {"loop_factory": partial(PatientLoop, speed=20)}


class Forecaster(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You tell the weather.")

    @function_tool
    async def get_weather(self, city: str) -> str:
        """The weather somewhere.

        Args:
            city: Where.
        """
        return f"sunny in {city}"


async def fetch(trace: Path, phonic: str, *, key: str = KEY) -> Result:
    """The command, while this thread's event loop runs the server that it talks to."""
    return await to_thread.run_sync(
        lambda: run("fetch", trace, PHONIC_API_KEY=key, PHONIC_BASE_URL=phonic)
    )


async def hold(simulator: PhonicSimulator, make_model, trace: Path, **options: Any) -> None:
    """A recorded call that goes through the simulator's scenario."""
    model = make_model(
        base_url=simulator.url, trace=trace, generate_welcome_message=True, **options
    )
    session: AgentSession[Any] = AgentSession(llm=model)
    async with PhoneCall(session, Forecaster()) as call:
        await call.play(simulator.scenario)
    await simulator.wait_for(lambda: simulator._by_id != {} and _is_over(simulator))


def _is_over(simulator: PhonicSimulator) -> bool:
    return all(c.channel.history.ended is not None for c in simulator._by_id.values())


def recorded(path: Path, *told: Told, conversation: str = "conv_1") -> Path:
    return write(path, [*opening(conversation), *told], close=60.0)


def kept(trace: Path) -> ServiceRecord:
    return read_record(record_file(trace))


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "call.jsonl"


async def assert_answers_as_published(phonic: PhonicSimulator) -> None:
    address = f"http{phonic.url.removeprefix('ws')}/v1/conversations/"
    address += phonic.conversations[0].conversation_id
    async with httpx.AsyncClient(trust_env=False) as client:
        told = await client.get(address, headers={"Authorization": f"Bearer {KEY}"})
        refused = await client.get(address)
        recording = told.json()["conversation"]["audio_url"]
        packed = await client.get(recording)
        unsigned = await client.get(recording.partition("?")[0])
    assert refused.status_code == 401
    conversation = told.json()["conversation"]
    Draft202012Validator({"$ref": "#/$defs/Conversation", "$defs": FACTS["$defs"]}).validate(
        conversation
    )
    assert packed.content.startswith(b"\x1f\x8b"), "gzip, unless another container is asked for"
    assert unsigned.status_code == 403


async def test_the_record_lies_beside_the_trace(make_model, trace):
    async with PhonicSimulator("tool-call") as phonic:
        await hold(phonic, make_model, trace)
        await assert_answers_as_published(phonic)
        result = await fetch(trace, phonic.url)
        conversation_id = phonic.conversations[0].conversation_id
    assert (result.returncode, result.stderr) == (0, "")
    assert conversation_id in result.stdout
    (conversation,) = kept(trace).conversations
    assert conversation.id == conversation_id
    assert conversation.ended_by == "user"
    assert [turn.text for turn in conversation.turns if turn.role == "user"] == [
        "What is the weather like in Paris?",
        "Thank you.",
    ]
    (call,) = [call for turn in conversation.turns for call in turn.calls]
    assert (call.name, call.request) == ("get_weather", {"city": "Paris"})
    assert call.response == {"output": "sunny in Paris"}
    assert len(conversation.latencies_ms) >= 2
    assert conversation.recording == "call.phonic.wav"
    with wave.open(str(trace.with_name("call.phonic.wav"))) as wav:
        assert wav.getnchannels() == 2
        heard = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, 2)
    assert heard.any(axis=0).all(), "the caller on one side, the assistant on the other"


async def test_a_redacted_conversation_is_one_line_and_has_its_redacted_transcript(
    make_model, trace
):
    async with PhonicSimulator("tool-call") as phonic:
        await hold(phonic, make_model, trace, enable_redaction=True)
        result = await fetch(trace, phonic.url)
    assert result.returncode == 0
    assert result.stdout.count("Phonic has redacted the conversation") == 1
    (conversation,) = kept(trace).conversations
    assert "Thank you." in [turn.text for turn in conversation.turns]


async def test_of_a_deleted_conversation_the_rest_takes_the_place_of_all(make_model, trace):
    async with PhonicSimulator("tool-call") as phonic:
        await hold(phonic, make_model, trace)
        assert (await fetch(trace, phonic.url)).returncode == 0
        phonic.delete(phonic.conversations[0].conversation_id)
        result = await fetch(trace, phonic.url)
    assert result.returncode == 0
    assert result.stdout.count("Phonic has deleted the transcripts (20") == 1
    assert result.stdout.count("Phonic has deleted the recording (20") == 1
    (conversation,) = kept(trace).conversations
    assert {turn.text for turn in conversation.turns} == {None}
    assert conversation.latencies_ms
    assert conversation.recording is None


async def test_an_unknown_conversation_is_one_line(trace):
    recorded(trace)
    async with PhonicSimulator() as phonic:
        result = await fetch(trace, phonic.url)
    assert result.returncode == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert "no conversation conv_1 for this key" in line
    assert not record_file(trace).exists()


async def test_nothing_else_is_written_over(trace):
    recorded(trace)
    record_file(trace).write_text("my notes")
    result = await fetch(trace, "ws://127.0.0.1:1")
    assert_is_one_line_and_exit_2(result, says="is no record of Phonic's")
    assert record_file(trace).read_text() == "my notes"


async def test_a_refused_key_is_one_line_and_is_not_shown(trace):
    recorded(trace)
    async with answering(UNAUTHORIZED) as address:
        result = await fetch(trace, f"ws://{address}", key="s3cret-key-of-mine")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "refuses the key" in line
    assert "s3cret" not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("HTTP/1.1 301 Moved\r\nLocation: {elsewhere}/v1\r\n\r\n", "HTTP 301: a redirect"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP 200"),
        ('HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{"conversation": [1]} ', "cannot be read"),
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}",
            "the key may not read conv_1",
        ),
        (
            "HTTP/1.1 418 No\r\nContent-Length: 47\r\n\r\n"
            '{"error":{"message":"not s3cret-key-of-mine!"}}',
            "HTTP 418: not ***!",
        ),
        ("nonsense\r\n\r\n", "Phonic cannot be reached"),
        ("", "Phonic cannot be reached"),
    ],
)
async def test_an_odd_answer_is_one_line_without_the_key(answer, says, trace):
    recorded(trace)
    followed: list[str] = []
    async with answering(UNAUTHORIZED, followed) as elsewhere:
        text = answer.replace("{elsewhere}", f"http://{elsewhere}")
        async with answering(text) as address:
            result = await fetch(trace, f"ws://{address}", key="s3cret-key-of-mine")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert says in line
    assert "s3cret" not in result.stdout + result.stderr
    assert followed == [], "a redirect would get the key"


async def test_what_the_record_must_not_hold_stays_out_of_it(trace):
    """A signed address, the headers of a tool's endpoint, the key."""
    conversation: dict[str, Any] = {
        "id": "conv_1",
        "audio_url": "http://127.0.0.1:1/a.wav?signature=p1anted-signature",
        "items": [
            {
                "role": "assistant",
                "live_transcript": "The key is s3cret-key-of-mine.",
                "tool_calls": [
                    {
                        "id": "c",
                        "tool": {"id": "t", "name": "t"},
                        "endpoint_url": "https://example.test/?token=p1anted-token",
                        "endpoint_headers": {"Authorization": "Bearer p1anted-header"},
                        "request_body": None,
                    }
                ],
            }
        ],
    }
    body = msgspec.json.encode({"conversation": conversation}).decode()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
    recorded(trace)
    async with answering(head + body) as address:
        result = await fetch(trace, f"ws://{address}", key="s3cret-key-of-mine")
    assert result.returncode == 0
    told = record_file(trace).read_text() + result.stdout + result.stderr
    assert "The key is ***." in told
    assert "p1anted" not in told
    assert "s3cret" not in told
    assert "the recording could not be had" in told


@pytest.mark.parametrize(
    ("began", "at"),
    [
        ("2026-11-27T08:00:00Z", "2026-11-27T08:00:02.5Z"),
        ("2026-11-27T08:00:00", "2026-11-27T08:00:02.5Z"),
        ("2026-11-27T08:00:00Z", "2026-11-27T08:00:02.5"),
        ("2026-11-27T08:00:00", "2026-11-27T08:00:02.5"),
        ("2026-11-27T08:00:00", "2026-11-27T09:00:02.5+01:00"),
    ],
)
async def test_a_time_without_a_zone_is_in_utc(began, at, trace):
    items = [{"role": "user", "live_transcript": "Hello?", "started_at": at}]
    conversation = {"id": "conv_1", "started_at": began, "items": items}
    body = msgspec.json.encode({"conversation": conversation}).decode()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
    recorded(trace)
    async with answering(head + body) as address:
        result = await fetch(trace, f"ws://{address}")
    assert (result.returncode, result.stderr) == (0, "")
    (fetched,) = kept(trace).conversations
    assert fetched.started == "2026-11-27T08:00:00+00:00"
    assert [turn.at for turn in fetched.turns] == [2.5]


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("https_proxy", "http://agent:p4ssword@nowhere.invalid:1", "Phonic cannot be reached: "),
        ("https_proxy", "nothing://x:p4ssword@y", "check https_proxy"),
        ("ALL_PROXY", "http://agent:p4ss/word@127.0.0.1:9", "check all_proxy"),
        ("https_proxy", "socks5://agent:p4ssword@127.0.0.1:9", 'pip install "httpx[socks]"'),
        ("NO_PROXY", "[::1]", "check no_proxy"),
    ],
)
async def test_a_proxy_that_cannot_be_used_is_one_line(variable, value, says, trace, monkeypatch):
    monkeypatch.setitem(sys.modules, "socksio", None)
    recorded(trace)
    monkeypatch.setenv(variable, value)
    result = await fetch(trace, "wss://255.255.255.255")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert says in line
    assert "p4ss" not in line


async def test_each_conversation_of_the_call_is_fetched(make_model, trace, tmp_path):
    """One that could not be resumed has another after it."""
    async with PhonicSimulator("tool-call") as phonic:
        first, second = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
        for path in (first, second):
            await hold(phonic, make_model, path)
        lines = [path.read_bytes().splitlines(keepends=True) for path in (first, second)]
        end = json.loads(lines[0][-1])["seq"]
        moved = []
        for text in lines[1][1:]:
            line = json.loads(text)
            moved.append(msgspec.json.encode({**line, "seq": line["seq"] + end}) + b"\n")
        trace.write_bytes(b"".join([*lines[0], *moved]))
        assert (await fetch(trace, phonic.url)).returncode == 0
    ids = [conversation.id for conversation in kept(trace).conversations]
    assert ids == [record.conversation_id for record in phonic.conversations]
    assert trace.with_name("call.phonic.2.wav").exists()


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, "PHONIC_API_KEY is not set"),
        ({"PHONIC_API_KEY": "my key"}, "holds something that no key can"),
        ({"PHONIC_API_KEY": KEY, "PHONIC_BASE_URL": "http://x"}, "must be a websocket URL"),
    ],
)
def test_a_key_or_an_address_that_cannot_work_is_one_line(environment, says, trace):
    assert_is_one_line_and_exit_2(run("fetch", recorded(trace), **environment), says=says)


def test_a_trace_that_cannot_be_fetched_for_is_one_line(trace):
    missing = trace.with_name("missing.jsonl")
    fetched = partial(run, "fetch", PHONIC_API_KEY=KEY)
    assert_is_one_line_and_exit_2(fetched(missing), says="No such file")
    write(trace, opening()[:3], close=1.0)
    assert_is_one_line_and_exit_2(fetched(trace), says="names no conversation")
    redacted = trace.with_name("redacted.jsonl")
    recorded(trace, *caller(2.0, 3.0), *assistant(3.5, "Yes?"))
    assert run("redact", trace, redacted).returncode == 0
    assert_is_one_line_and_exit_2(fetched(redacted), says="is redacted")


def test_an_id_that_leads_elsewhere_is_asked_for_nowhere(trace):
    recorded(trace, conversation="../agents")
    result = run("fetch", trace, PHONIC_API_KEY=KEY, PHONIC_BASE_URL="ws://127.0.0.1:1")
    assert result.returncode == 1
    assert "is no id of Phonic's" in result.stderr
