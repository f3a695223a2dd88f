"""Phonic in virtual time: its limits, the conversations that it keeps, and answers without sense.

Sources: 500 connections/s to the path, HTTP 429 beyond (the published API); a lost conversation is
kept for 30 s, and a tool may take 5 s (the SDK).
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fleet.clock import Clock
from fleet.ledger import Ledger

from phonic_fsm._core import events, timers
from phonic_fsm._wire import client, server

if TYPE_CHECKING:
    from fleet.process import Process

ON_THE_WAY = 0.02
"""Seconds that a message takes."""

OPENING = 0.08
"""Seconds that a handshake takes."""

TOOL_SECONDS = 5.0

LAG = 480
"""Bytes of audio in a chunk: little, as nobody hears it."""

SOUND = bytes(LAG)


@dataclass(eq=False)
class Conversation:
    id: str
    connection: Connection | None = None
    lost_at: float | None = None
    turn: int = 0
    """Grows when what is being said is no longer to be said."""
    pending: set[str] = field(default_factory=set)
    """The tool calls whose outputs are awaited."""
    used: set[str] = field(default_factory=set)
    """The tool calls whose outputs were taken."""
    calls: int = 0
    is_over: bool = False


@dataclass(eq=False)
class Connection:
    process: Process
    resume: str | None
    since: float = 0.0
    is_open: bool = False
    conversation: Conversation | None = None


class Phonic:
    """``down`` and ``busy`` say from when to when it takes no connection, or answers 429 only."""

    def __init__(self, clock: Clock, rng: random.Random, ledger: Ledger) -> None:
        self._clock, self._rng, self._ledger = clock, rng, ledger
        self.down = self.busy = (0.0, 0.0)
        self._taken: deque[float] = deque()
        self._conversations: dict[str, Conversation] = {}
        self.tools = 0.4
        """The share of answers that begin with a tool call."""

    # -- connections -----------------------------------------------------------------------------

    def connect(self, connection: Connection) -> None:
        now = self._clock.now
        if self.down[0] <= now < self.down[1]:
            self._fail(connection, "no connection to Phonic: connection refused")
            return
        self._ledger.knock(now)
        while self._taken and self._taken[0] <= now - 1.0:
            self._taken.popleft()
        if self.busy[0] <= now < self.busy[1] or len(self._taken) >= self._ledger.limit:
            self._ledger.counts["refused with 429"] += 1
            self._fail(connection, "Phonic refused the connection with HTTP 429", busy=True)
            return
        self._taken.append(now)
        self._clock.after(OPENING, self._open, connection)

    def _fail(self, connection: Connection, problem: str, *, busy: bool = False) -> None:
        chance = round(self._rng.random(), 3)
        failed = events.ConnectFailed(problem, chance=chance, busy=busy)
        self._clock.after(ON_THE_WAY, connection.process.hear, connection, failed)

    def _open(self, connection: Connection) -> None:
        now = self._clock.now
        connection.is_open, connection.since = True, now
        self._say(connection, events.ConnectionOpened(OPENING))
        if connection.resume is None:
            return
        conversation = self._conversations.get(connection.resume)
        kept = (
            conversation is not None
            and not conversation.is_over
            and (conversation.lost_at is None or now - conversation.lost_at <= timers.GRACE)
        )
        if not kept:
            self._drop(connection, 4800, "expired")
            return
        assert conversation is not None
        if conversation.connection is not None:
            # The newer connection has it.
            self._drop(conversation.connection, 1006, "")
        self._join(connection, conversation)
        self._say(connection, server.ConversationReconnected())

    def _join(self, connection: Connection, conversation: Conversation) -> None:
        connection.conversation, conversation.connection = conversation, connection
        conversation.lost_at = None

    def _drop(self, connection: Connection, code: int, reason: str) -> None:
        """End a connection from this side."""
        self.lose(connection)
        closed = events.ConnectionClosed(
            code,
            reason,
            chance=round(self._rng.random(), 3),
            seconds=round(self._clock.now - connection.since, 3),
        )
        self._clock.after(ON_THE_WAY, connection.process.hear, connection, closed)

    def lose(self, connection: Connection) -> None:
        """A connection is gone, without a close frame."""
        connection.is_open = False
        conversation = connection.conversation
        if conversation is not None and conversation.connection is connection:
            conversation.connection = None
            conversation.lost_at = self._clock.now
            conversation.turn += 1

    def close(self, connection: Connection) -> None:
        """A connection is closed on purpose, and its conversation with it."""
        conversation = connection.conversation
        if conversation is not None and conversation.connection is connection:
            conversation.is_over = True
        self.lose(connection)

    def restart(self, seconds: float) -> None:
        """Close every connection as a service that restarts, and take none for so long."""
        now = self._clock.now
        self.down = (now, now + seconds)
        for conversation in self._conversations.values():
            if conversation.connection is not None:
                self._drop(conversation.connection, 1012, "service restart")

    # -- conversations ---------------------------------------------------------------------------

    def receive(self, connection: Connection, message: client.ClientMessage) -> None:
        self._clock.after(ON_THE_WAY, self._take, connection, message)

    def _take(self, connection: Connection, message: client.ClientMessage) -> None:
        if not connection.is_open:
            return
        if isinstance(message, client.Config):
            conversation = Conversation(f"conv_{len(self._conversations) + 1}")
            self._conversations[conversation.id] = conversation
            self._join(connection, conversation)
            self._say(connection, server.ConversationCreated(conversation.id))
            self._say(connection, server.ReadyToStartConversation(), after=0.1)
            return
        conversation = connection.conversation  # type: ignore[assignment]
        if conversation is None:
            return
        if isinstance(message, client.ToolCallOutput):
            self._use(conversation, message.tool_call_id)
        elif isinstance(message, client.GenerateReply):
            self._answer(conversation, 0.3)

    def _use(self, conversation: Conversation, call_id: str) -> None:
        if call_id not in conversation.pending:
            return
        conversation.pending.discard(call_id)
        conversation.used.add(call_id)
        done = server.ToolCallOutputProcessed(tool_call_id=call_id)
        self._tell(conversation, conversation.turn, done)
        if not conversation.pending:
            self._answer(conversation, 0.4)

    def hear(self, connection: Connection, text: str) -> None:
        """The caller says something over this connection."""
        conversation = connection.conversation
        if conversation is None or conversation.connection is not connection:
            return
        conversation.turn += 1
        turn, after = conversation.turn, self._clock.after
        after(0.1, self._tell, conversation, turn, server.UserStartedSpeaking())
        after(0.9, self._tell, conversation, turn, server.UserFinishedSpeaking())
        after(0.95, self._tell, conversation, turn, server.InputText(text))
        if self._rng.random() < self.tools:
            after(1.3, self._call_tool, conversation, turn)
        else:
            after(1.0, self._answer_in, conversation, turn, 0.4)

    def _call_tool(self, conversation: Conversation, turn: int) -> None:
        if conversation.turn != turn:
            return
        conversation.calls += 1
        call_id = f"{conversation.id}_tool_{conversation.calls}"
        conversation.pending.add(call_id)
        self._tell(conversation, turn, server.ToolCall(call_id, TOOL))
        self._clock.after(TOOL_SECONDS, self._time_out, conversation, call_id)

    def _time_out(self, conversation: Conversation, call_id: str) -> None:
        if call_id in conversation.pending:
            conversation.pending.discard(call_id)
            late = server.ToolCallOutputProcessed(tool_call_id=call_id, timed_out=True)
            self._tell(conversation, conversation.turn, late)
            self._answer(conversation, 0.4)

    def _answer_in(self, conversation: Conversation, turn: int, seconds: float) -> None:
        if conversation.turn == turn:
            self._answer(conversation, seconds)

    def _answer(self, conversation: Conversation, seconds: float) -> None:
        conversation.turn += 1
        turn, after = conversation.turn, self._clock.after
        after(seconds, self._tell, conversation, turn, server.AssistantStartedSpeaking())
        after(seconds + 0.05, self._tell, conversation, turn, server.AudioChunk(SOUND, "Well, "))
        after(seconds + 1.0, self._tell, conversation, turn, server.AudioChunk(SOUND, "so be it."))
        after(seconds + 2.0, self._tell, conversation, turn, server.AssistantFinishedSpeaking())

    def _tell(self, conversation: Conversation, turn: int, message: server.ServerMessage) -> None:
        if conversation.turn == turn and conversation.connection is not None:
            self._say(conversation.connection, message)

    def _say(self, connection: Connection, event: events.Event, after: float = 0.0) -> None:
        self._clock.after(after + ON_THE_WAY, connection.process.hear, connection, event)


TOOL = "look_up"
