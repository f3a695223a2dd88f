"""A Phonic that listens: it answers as soon as a caller's sound is over.

Like Phonic it streams ahead of real time if the config asks for that, which package and plugin do.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from phonic_fsm._wire import client, server
from phonic_fsm._wire.codec import decode_client, encode

from .turn_end import CHUNK_MS, QUESTION, TurnEnd, answer

ANSWER = answer()


async def _converse(socket: ServerConnection) -> None:
    turn, answering, ahead = TurnEnd(), None, False
    try:
        while True:
            message = decode_client(await socket.recv(decode=False))
            if isinstance(message, client.Config):
                ahead = message.stream_ahead_of_real_time is True
                await _send(
                    socket, server.ConversationCreated("conv_1"), server.ReadyToStartConversation()
                )
            elif isinstance(message, client.AudioChunk):
                spoke = turn.speaking
                if turn.hear(message.audio):
                    answering = asyncio.create_task(_answer(socket, turn.stamp(), ahead))
                elif turn.speaking and not spoke:
                    await _send(socket, server.UserStartedSpeaking())
    except ConnectionClosed:
        if answering is not None:
            answering.cancel()


async def _answer(socket: ServerConnection, stamp: str, ahead: bool) -> None:
    await _send(
        socket,
        server.UserFinishedSpeaking(),
        server.InputText(QUESTION),
        server.AssistantStartedSpeaking(),
    )
    due = time.monotonic()
    for pcm, words in ANSWER:
        await _send(socket, server.AudioChunk(pcm, stamp + words))
        stamp = ""
        due += CHUNK_MS / 1000
        await asyncio.sleep(0.0 if ahead else max(0.0, due - time.monotonic()))
    await _send(socket, server.AssistantFinishedSpeaking())


async def _send(socket: ServerConnection, *messages: object) -> None:
    for message in messages:
        await socket.send(encode(message), text=True)


async def _serve(port: Connection) -> None:
    async with serve(_converse, "127.0.0.1", 0, compression=None) as listening:
        port.send(next(iter(listening.sockets)).getsockname()[1])
        await asyncio.get_running_loop().create_future()


def _run(port: Connection) -> None:
    asyncio.run(_serve(port))


@contextmanager
def running_phonic() -> Iterator[str]:
    """The URL of one, in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_run, args=(sender,), daemon=True)
    process.start()
    try:
        yield f"ws://127.0.0.1:{receiver.recv()}"
    finally:
        process.terminate()
        process.join()
