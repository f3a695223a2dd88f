"""Messages are handed over whole, in order and from the first on, however they travel."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager

import pytest
from livekit.agents import APIConnectOptions
from support.scripted import SILENCE, PhonicServer, conversation, read, started
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import CloseCode, Frame, Opcode
from websockets.utils import accept_key

from phonic_fsm import ConnectionFailed
from phonic_fsm._runtime import connection, socket
from phonic_fsm._runtime.socket import READ_BYTES
from phonic_fsm._wire import server as phonic
from phonic_fsm._wire.codec import encode

pytestmark = pytest.mark.anyio


def frame(opcode, data, *, fin=True):
    return Frame(opcode, data, fin).serialize(mask=False)


async def test_a_message_in_fragments_is_put_together(make_model, server):
    data = encode(phonic.InputText("In three parts."))
    async with conversation(make_model(), server) as (_, peer, emitted):
        write = peer._socket.transport.write
        write(frame(Opcode.TEXT, b"", fin=False))
        write(frame(Opcode.CONT, data[:9], fin=False))
        write(frame(Opcode.PING, b"between"))
        write(frame(Opcode.CONT, data[9:]))
        write(frame(Opcode.TEXT, encode(phonic.InputText("Whole."))))
        name = "input_audio_transcription_completed"
        assert (await emitted.next(name)).transcript == "In three parts."
        assert (await emitted.next(name)).transcript == "Whole."


async def test_the_rest_of_what_was_read_comes_before_the_end_of_the_connection(
    make_model, server, monkeypatch
):
    monkeypatch.setattr(socket, "LONGEST_SHARE", -1.0)  # others get their turn after each share
    said = [f"{number} {'x' * (number % 7 * 300)}" for number in range(100)]
    async with conversation(make_model(), server) as (_, peer, emitted):
        transport = peer._socket.transport
        transport.write(b"".join(frame(Opcode.TEXT, encode(phonic.InputText(s))) for s in said))
        transport.close()
        for text in said:
            heard = await emitted.next("input_audio_transcription_completed")
            assert heard.transcript == text
        await emitted.state("reconnecting")


async def test_a_message_of_many_reads_is_put_together(make_model, server):
    text = "x" * (5 * READ_BYTES)
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.send(phonic.InputText(text))
        heard = await emitted.next("input_audio_transcription_completed")
        assert heard.transcript == text


@asynccontextmanager
async def hasty_server(*messages, headers=b""):
    """Answers the handshake and says all it has to say in one write."""

    async def answer(reader, writer):
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(
            v
            for k, _, v in (line.partition(": ") for line in request.split("\r\n"))
            if k.lower() == "sec-websocket-key"
        )
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: "
            + accept_key(key).encode()
            + b"\r\n"
            + headers
            + b"\r\n"
            + b"".join(frame(Opcode.TEXT, encode(m)) for m in messages)
        )
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        yield f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def test_what_comes_with_the_handshakes_answer_is_heard_after_it(make_model):
    problem = phonic.Error(phonic.Problem("no such agent"))
    async with hasty_server(problem) as url, started(make_model(base_url=url)) as (_, emitted):
        changes = [await emitted.next("state_changed") for _ in range(2)]
        assert [(change.new, change.event) for change in changes] == [
            ("awaiting_inputs", "connection_opened"),
            ("closed", "error"),
        ]


async def test_no_compression_is_offered_and_a_server_that_takes_it_is_refused(make_model, server):
    async with conversation(make_model(), server) as (_, peer, _):
        assert "Sec-WebSocket-Extensions" not in peer.headers
    compressing = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
    async with hasty_server(headers=compressing) as url:
        model = make_model(base_url=url, conn_options=APIConnectOptions(max_retry=0))
        async with started(model) as (_, emitted):
            error = (await emitted.next("error")).error
            assert isinstance(error, ConnectionFailed)
            assert "extensions" in str(error)


async def test_a_compressed_message_is_not_unpacked_and_ends_the_connection(make_model, server):
    bomb = Frame(Opcode.TEXT, encode(phonic.InputText("x" * 2**24)))
    compressing = [PerMessageDeflate(False, False, 15, 15)]
    async with conversation(make_model(), server) as (_, peer, emitted):
        peer._socket.transport.write(bomb.serialize(mask=False, extensions=compressing))
        assert "reserved bits must be 0" in str((await emitted.next("error")).error)
        assert await peer.receive() is None
        assert peer.close_code == CloseCode.PROTOCOL_ERROR
        resumed = await server.accept()
        await resumed.send(phonic.ConversationReconnected())
        await emitted.state("ready")


@pytest.mark.parametrize("share", [socket.LONGEST_SHARE, -1.0])
async def test_a_long_turn_over_tls_arrives_whole(
    share, make_model, certificate, own_certificate, monkeypatch
):
    monkeypatch.setattr(socket, "LONGEST_SHARE", share)
    trusting = ssl.create_default_context(cafile=certificate)
    monkeypatch.setattr(connection, "_tls", lambda: trusting)
    words = [f"{number} " for number in range(500)]
    async with (
        PhonicServer(own_certificate) as server,
        conversation(make_model(base_url=server.url), server) as (_, peer, emitted),
    ):
        await peer.speak(*words)
        heard = await read(await emitted.next("generation_created"))
        assert heard.text == "".join(words)
        assert heard.audio == SILENCE * len(words)
