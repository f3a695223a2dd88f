"""Calls in which everything happens that is measured; their metrics go out by OTLP.

A program of its own, because a process can set its meter provider once only::

    python -m support.metered_call http://127.0.0.1:4318/v1/metrics

Or Prometheus may scrape them at a port, until the program's input ends::

    python -m support.metered_call 9100
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import prometheus_client
from livekit import api, rtc
from livekit.agents import APIConnectOptions, function_tool, llm
from livekit.agents.testing import fake_job_context
from opentelemetry import metrics
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from support import clock
from support.scripted import (
    KEY,
    SILENCE,
    Impatient,
    PhonicServer,
    conversation,
    read,
    started,
)

from phonic_fsm import RealtimeModel
from phonic_fsm._adapter import moving
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm._wire.codec import MOST_VALUES
from phonic_fsm.durable import Journals, journals
from phonic_fsm.durable._store import Wish
from phonic_fsm.prometheus import PrometheusMeters

FRAME = rtc.AudioFrame(bytes(960), 24_000, 1, 480)
"""20 ms."""


@function_tool
async def opening_hours() -> str:
    """Look up the opening hours."""
    return "nine to five"


async def hold_calls(folder: Path) -> None:
    await hold_a_call(folder)
    await hold_a_call_in_which_nothing_comes()
    await hold_a_call_that_moves(folder / "journals")


async def hold_a_call(folder: Path) -> None:
    no_folder = folder / "file"
    no_folder.touch()
    async with PhonicServer() as server:
        model = RealtimeModel(
            api_key=KEY,
            base_url=server.url,
            journal=no_folder,
            conn_options=APIConnectOptions(max_retry=1, retry_interval=0, timeout=5),
        )
        async with conversation(model, server, tools=[opening_hours]) as (session, peer, emitted):
            await peer.send_raw('{"type":"dtmf","digits":[%s0]}' % ("0," * MOST_VALUES))
            session.push_audio(FRAME)
            await peer.send(
                phonic.UserStartedSpeaking(),
                phonic.UserFinishedSpeaking(),
                phonic.ToolCall("call_1", "opening_hours"),
            )
            await read(await emitted.next("generation_created"))
            context = session.chat_ctx
            context.items.append(
                llm.FunctionCallOutput(call_id="call_1", output="nine to five", is_error=False)
            )
            await session.update_chat_ctx(context)
            await peer.expect(client.ToolCallOutput)
            await peer.send(
                phonic.ToolCallOutputProcessed(tool_call_id="call_1"),
                phonic.AssistantStartedSpeaking(),
                phonic.AudioChunk(SILENCE, "Nine to five.", {"llm_ms": 210.0}),
            )
            await emitted.next("generation_created")
            await peer.send(phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking())
            await emitted.next("input_speech_stopped")
            # A tool that nobody has defined, and a connection that is lost before its output.
            await peer.send(phonic.ToolCall("call_2", "invented"))
            await emitted.next("generation_created")
            peer.cut()
            resumed = await server.accept()
            await resumed.send(phonic.ConversationReconnected())
            await emitted.next("session_reconnected")
            resumed.cut()
            refused = await server.accept()
            await refused.close(4000, "no such conversation")
            fresh = await server.accept()
            await fresh.open_conversation("conv_2")
            await emitted.next("session_reconnected")
            reply = session.generate_reply()
            await fresh.send(phonic.AssistantEndedConversation())
            await fresh.close()
            await emitted.state("closed")
            await asyncio.wait([reply])


async def hold_a_call_in_which_nothing_comes() -> None:
    async with PhonicServer() as server:
        model = Impatient(RealtimeModel(api_key=KEY, base_url=server.url))
        async with conversation(model, server) as (session, peer, emitted):
            await asyncio.wait([session.generate_reply()])  # timed out
            model.reply_timeout = 5.0
        async with conversation(model, server) as (session, peer, emitted):
            reply = session.generate_reply()
            await peer.expect(client.GenerateReply)
            await peer.send(phonic.AssistantChoseNotToRespond())
            await asyncio.wait([reply])
            await peer.send(
                phonic.ToolCall("call_1", "invented"), phonic.ToolCallInterrupted("call_1")
            )
            await emitted.next("generation_created")
            await peer.receive_silence(3)
            server.refuse = 401
            peer.cut()
            await emitted.state("reconnecting")
            for _ in range(150):  # Two seconds of these three are kept.
                session.push_audio(FRAME)
            await emitted.state("closed")


async def hold_a_call_that_moves(folder: Path) -> None:
    store = journals(folder)
    async with PhonicServer() as server:
        model = RealtimeModel(api_key=KEY, base_url=server.url, journal=folder)
        async with in_a_job():
            async with conversation(model, server) as (_, peer, emitted):
                moving.ARRIVAL = 0.0
                with logged("stays here") as stays:
                    await ask(store, "move")
                    await stays.wait()
                # While the assistant speaks, no moment is good, and this bound is over at once.
                moving.LONGEST_WAIT = 0.0
                await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE))
                await emitted.next("generation_created")
                await ask(store, "handover")
                await emitted.state("closed")
            moving.LONGEST_WAIT = 60.0
            assert await model.recover(store.statuses()[0].name) is not None
            async with started(model) as (_, emitted):
                successor = await server.accept()
                await successor.send(phonic.ConversationReconnected())
                await successor.speak("As I said.")
                await read(await emitted.next("generation_created"))
                await ask(store, "handover")
                await emitted.state("closed")


@asynccontextmanager
async def in_a_job() -> AsyncIterator[None]:
    """No LiveKit server is there to dispatch a successor."""
    async with api.LiveKitAPI("http://127.0.0.1:9", "key", "s" * 32) as nobody:
        with fake_job_context() as context, context._tempdir:
            context._info.token = api.AccessToken("key", "s" * 32).with_identity("agent").to_jwt()
            context.api = nobody
            yield


@contextmanager
def logged(words: str) -> Iterator[asyncio.Event]:
    """The event is set when a line with these words is written to the log."""
    event = asyncio.Event()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if words in record.getMessage():
                event.set()

    handler = Handler()
    logger = logging.getLogger("phonic_fsm")
    logger.addHandler(handler)
    try:
        yield event
    finally:
        logger.removeHandler(handler)


async def ask(store: Journals, wish: Wish) -> None:
    while not (found := store.statuses()):  # noqa: ASYNC110 - a file tells nobody
        await asyncio.sleep(0.01)
    [status] = found
    store.ask(status.name, status.number, wish)


def main() -> None:
    to = sys.argv[1]
    if to.isdecimal():
        metrics.set_meter_provider(PrometheusMeters())
        prometheus_client.start_http_server(int(to), "127.0.0.1")
        hold_all()
        sys.stdin.read()
    else:
        provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(to), 600_000)])
        metrics.set_meter_provider(provider)
        hold_all()
        provider.shutdown()


def hold_all() -> None:
    with tempfile.TemporaryDirectory() as name:
        anyio.run(hold_calls, Path(name), backend_options=clock.backend()[1])


if __name__ == "__main__":
    main()
