"""The simulator's listening socket: it checks handshakes and finds each connection's conversation.

What is said in a conversation is decided in ``_conversation``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from phonic_fsm._version import __version__
from phonic_fsm._wire import client

from ._channel import Channel, ConversationRecord, News
from ._conversation import TOO_LATE, Conversation
from ._doubts import Doubts
from ._rest import answer
from ._scenario import Scenario, load_scenario

logger = logging.getLogger("phonic_fsm.simulator")

SERVER = f"phonic-fsm-simulator/{__version__}"
"""What the simulator calls itself in a handshake."""

_PATH = "/v1/sts/ws"

M = TypeVar("M", bound=client.ClientMessage)


class PhonicSimulator:
    """A local stand-in for Phonic's speech-to-speech server.

    ``scenario`` says what the caller is taken to have said and what the assistant does about it.
    It is a ``Scenario``, the name of a shipped one (see ``scenario_names()``), or the ``Path`` of
    a JSON file. Every conversation goes through it from the beginning. ``port`` 0 takes a free
    port. A lost conversation can be resumed for ``grace_s`` seconds. ``doubts`` says how the open
    questions about the service are answered, instead of the scenario's own ``doubts``::

        async with PhonicSimulator("small-talk") as sim:
            model = RealtimeModel(base_url=sim.url, api_key="any")

    Raises:
        ScenarioError: the scenario cannot be read.
        OSError: on entering, if the address cannot be listened on.
    """

    conversations: list[ConversationRecord]
    """What has happened so far: a record for each conversation, the oldest first."""

    def __init__(
        self,
        scenario: Scenario | str | Path = "small-talk",
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        grace_s: float = 30.0,
        doubts: Doubts | None = None,
    ) -> None:
        self.scenario = scenario if isinstance(scenario, Scenario) else load_scenario(scenario)
        self.conversations = []
        self._host = host
        self._port = port
        self._grace_s = grace_s
        self.doubts = self.scenario.doubts if doubts is None else doubts
        self._news = News()
        self._by_id: dict[str, Conversation] = {}
        self._server: Server | None = None

    async def __aenter__(self) -> PhonicSimulator:
        self._server = await serve(
            self._handle,
            self._host,
            self._port,
            process_request=self._process_request,
            server_header=SERVER,
            compression=None,
            close_timeout=1,
        )
        self._port = self._server.sockets[0].getsockname()[1]
        if (times := self.scenario.shorten_times_by) != 1:
            logger.warning("the scenario divides the times that the service waits by %g", times)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    @property
    def url(self) -> str:
        """The base URL for a client, without the path: ``ws://127.0.0.1:43211``."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"ws://{host}:{self._port}"

    async def received(self, kind: type[M], *, nth: int = 1) -> M:
        """Wait for the ``nth`` message of ``kind`` that clients send, and return it.

        Messages are counted over all conversations, from the first on.

        Raises:
            ValueError: ``kind`` is audio, which is not kept as messages.
        """
        if kind is client.AudioChunk:
            raise ValueError("audio is in ConversationRecord.audio; use wait_for")

        def found() -> list[M]:
            return [m for c in self.conversations for m in c.received if isinstance(m, kind)]

        await self.wait_for(lambda: len(found()) >= nth)
        return found()[nth - 1]

    async def wait_for(self, predicate: Callable[[], bool]) -> None:
        """Wait until ``predicate()`` is true.

        It is called now, after every message in either direction, after every chunk of the
        caller's audio, and whenever a connection is made or lost.
        """
        await self._news.wait_for(predicate)

    def drop(self) -> None:
        """Cut every connection without a close frame, as a network that fails does."""
        for conversation in self._by_id.values():
            conversation.channel.drop()

    async def close(self, code: int, reason: str = "") -> None:
        """Close every connection with this code (1012: the conversations may be resumed)."""
        for conversation in self._by_id.values():
            await conversation.channel.close(code, reason)

    def delete(self, conversation_id: str) -> None:
        """Delete a conversation's transcripts and recording, as the REST API's DELETE does.

        Raises:
            KeyError: there is no such conversation.
        """
        self._by_id[conversation_id].channel.history.deleted = True

    def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        channels = {name: conversation.channel for name, conversation in self._by_id.items()}
        return answer(request, channels) or _check_handshake(connection, request)

    async def _handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None, "a handler runs after the handshake"
        query = parse_qs(urlsplit(connection.request.path).query)
        if wanted := query.get("reconnect_conv_id"):
            lost = self._by_id.get(wanted[0])
            if lost is None:
                await connection.close(TOO_LATE, "there is no such conversation")
            else:
                await lost.resume(connection, grace_s=self._grace_s)
            return
        channel = Channel(self._news, self.doubts)
        conversation = Conversation(self.scenario, channel, self.doubts)
        record = conversation.channel.record
        self._by_id[record.conversation_id] = conversation
        self.conversations.append(record)
        await conversation.start(connection)


def _check_handshake(connection: ServerConnection, request: Request) -> Response | None:
    target = urlsplit(request.path)
    if target.path != _PATH:
        return connection.respond(HTTPStatus.NOT_FOUND, "not found\n")
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    has_key = scheme == "Bearer" and bool(key.strip())
    if not has_key and "session_token" not in parse_qs(target.query):
        return connection.respond(
            HTTPStatus.UNAUTHORIZED, "a bearer token or a session_token is required\n"
        )
    return None
