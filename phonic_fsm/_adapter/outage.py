"""What a caller hears while Phonic is away: a line after some seconds, and a goodbye at the end.

Phonic is the voice, so what is said about its absence comes from files. They are played through the
``AgentSession``, as ``say`` with audio is, and so is their text shown in the chat. In a job the
``AgentSession`` is found (``job``); elsewhere ``phonic_fsm.observe`` names it. Where none is known,
nothing can be played, and the session ends as it does without an ``Outage``.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from os import PathLike, fspath
from typing import Any, Union

import anyio
import av
from livekit.agents import AgentSession, APIError
from livekit.agents.utils.audio import audio_frames_from_file
from livekit.agents.voice import SpeechHandle
from msgspec import Struct

from .._core.states import CONVERSING, State
from .._runtime.faults import log_fault_of_others
from .._runtime.secrets import Secrets
from .errors import CallTakenOver, ConversationEnded

logger = logging.getLogger("phonic_fsm")

LONGEST_WAY_OUT = 30.0
"""The most seconds that an author's ``way_out`` may take: the caller hears nothing meanwhile."""

LONGEST_LINE = 30.0
"""The most seconds that the goodbye is waited for, played or not."""

WayOut = Callable[[AgentSession[Any], APIError], Awaitable[Union[bool, None]]]


class SpokenLine(Struct, frozen=True):
    """Something to play: an audio file, and its words for the chat."""

    __module__ = "phonic_fsm"

    audio: str | PathLike[str]
    """Its path, in a format that FFmpeg reads, such as WAV, MP3 or Opus."""
    text: str


class Outage(Struct, frozen=True, kw_only=True):
    """What happens in a call while Phonic is away. Give it to ``RealtimeModel(outage=...)``.

    Raises:
        ValueError: ``after`` is no time, or a file cannot be read as audio; the message names it.
    """

    __module__ = "phonic_fsm"

    holding_line: SpokenLine | None = None
    """Played once in an outage, if it lasts for longer than ``after``. It is cut off when the
    conversation goes on."""
    after: float = 4.0
    """Seconds from the loss of the connection."""
    goodbye: SpokenLine | None = None
    """Played when the session ends with an error: after all attempts, before the call ends."""
    way_out: WayOut | None = None
    """Awaited after the goodbye, with the ``AgentSession`` and the error: transfer the call, take
    another model (``agent_session.update_agent(...)``), or tell somebody. If it returns ``True``,
    the call goes on without this session, and LiveKit is not told of the error. Otherwise the
    error ends the ``AgentSession``. It may take ``LONGEST_WAY_OUT`` seconds."""

    def __post_init__(self) -> None:
        if isinstance(self.after, bool) or not (
            isinstance(self.after, (int, float)) and 0 <= self.after < float("inf")
        ):
            raise ValueError(f"after must be a time in seconds, got {self.after!r}")
        if self.way_out is not None and not callable(self.way_out):
            raise ValueError(f"way_out must be an async function, got {self.way_out!r}")
        for name in ("holding_line", "goodbye"):
            line = getattr(self, name)
            if line is not None:
                _check(name, line)


def _check(name: str, line: object) -> None:
    if not isinstance(line, SpokenLine):
        raise ValueError(f"{name} must be a SpokenLine, got {line!r}")
    try:
        with av.open(fspath(line.audio)) as file:
            if not file.streams.audio:
                raise ValueError(f"{name}: {fspath(line.audio)} has no audio")
            next(file.decode(audio=0))
    except (OSError, StopIteration, TypeError, av.FFmpegError) as error:
        raise ValueError(f"{name}: {line.audio!r} cannot be read as audio: {error}") from None


class OutageCare:
    """Carries an ``Outage`` out, for one session."""

    def __init__(
        self,
        outage: Outage,
        agent_session: Callable[[], AgentSession[Any] | None],
        secrets: Secrets,
    ) -> None:
        self._outage = outage
        self._agent_session = agent_session
        self._secrets = secrets
        self._due: asyncio.TimerHandle | None = None
        """When it is set, a conversation was open, is not now, and the line was not played yet."""
        self._line: SpeechHandle | None = None
        self._farewell: asyncio.Task[None] | None = None
        """Says goodbye; the session's end waits for it."""
        self._last_resort: asyncio.Task[None] | None = None
        """Asks the author, who may close the session meanwhile, so its end does not wait for it."""
        self._closed = asyncio.Event()

    # -- while it lasts --------------------------------------------------------------------------

    def moved(self, source: State, target: State) -> None:
        """The session went from one state to another."""
        if target in CONVERSING or target in (State.last_words, State.closed):
            self._hold_no_more()
            if self._line is not None and target in CONVERSING:
                self._stop_line(self._line)
                self._line = None
        elif source in CONVERSING and self._outage.holding_line is not None:
            loop = asyncio.get_running_loop()
            self._due = loop.call_later(self._outage.after, self._hold, self._outage.holding_line)

    def _hold_no_more(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _hold(self, line: SpokenLine) -> None:
        self._due = None
        session = self._agent_session()
        if session is None:
            logger.warning("no AgentSession is known to play the holding line: see observe()")
            return
        self._line = self._play(session, line)

    def _play(self, session: AgentSession[Any], line: SpokenLine) -> SpeechHandle | None:
        frames = audio_frames_from_file(fspath(line.audio), sample_rate=24_000)
        try:
            return session.say(line.text, audio=frames)
        except RuntimeError as error:  # It is closing, or has no agent.
            logger.warning("the line %r cannot be played: %s", line.text, error)
            return None

    def _stop_line(self, line: SpeechHandle) -> None:
        if not line.done():
            try:
                line.interrupt(force=True)
            except RuntimeError as error:
                logger.debug("the holding line goes on: %s", error)

    # -- at the end ------------------------------------------------------------------------------

    def take_leave(self, error: APIError, end: Callable[[], None]) -> None:
        """Say goodbye and ask the author, then call ``end``, unless the call goes on."""
        outage = self._outage
        nothing_failed = isinstance(error, (ConversationEnded, CallTakenOver))
        if nothing_failed or (outage.goodbye is None and outage.way_out is None):
            end()
            return
        session = self._agent_session()
        if session is None:
            logger.warning("no AgentSession is known to say goodbye to the caller: see observe()")
            end()
            return
        self._farewell = asyncio.create_task(
            self._say_goodbye(session, error, end), name="phonic-farewell"
        )

    async def _say_goodbye(
        self, session: AgentSession[Any], error: APIError, end: Callable[[], None]
    ) -> None:
        if self._outage.goodbye is not None:
            goodbye = self._play(session, self._outage.goodbye)
            if goodbye is not None:
                await self._heard(goodbye)
        if self._closed.is_set():
            return  # Somebody else has ended the call.
        if self._outage.way_out is None:
            end()
            return
        self._last_resort = asyncio.create_task(
            self._ask_the_author(self._outage.way_out, session, error, end),
            name="phonic-last-resort",
        )

    async def _heard(self, line: SpeechHandle) -> None:
        """Wait until it is played, the session is closed, or that takes too long."""
        waits = [
            asyncio.ensure_future(line.wait_for_playout()),
            asyncio.ensure_future(self._closed.wait()),
        ]
        await asyncio.wait(waits, timeout=LONGEST_LINE, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if line.interrupted:
            # Whoever closes an AgentSession interrupts what it says, and closes this session next.
            with anyio.move_on_after(1.0):
                await self._closed.wait()

    async def _ask_the_author(
        self,
        way_out: WayOut,
        session: AgentSession[Any],
        error: APIError,
        end: Callable[[], None],
    ) -> None:
        goes_on = await self._goes_on(way_out, session, error)
        if not (goes_on or self._closed.is_set()):
            end()

    async def _goes_on(self, way_out: WayOut, session: AgentSession[Any], error: APIError) -> bool:
        """Whether the author's function goes on with the call in its own way."""

        async def ask() -> bool | None:
            return await way_out(session, error)

        # In a task of its own: what it raises, also a CancelledError, ends nothing but itself.
        asking = asyncio.create_task(ask(), name="phonic-way-out")
        await asyncio.wait([asking], timeout=LONGEST_WAY_OUT)
        if not asking.done():
            asking.cancel()
            logger.warning("way_out has not returned after %g s: the call ends", LONGEST_WAY_OUT)
            return False
        try:
            return asking.result() is True
        except BaseException as fault:  # noqa: BLE001 - the author's function may raise anything
            log_fault_of_others("way_out raised", fault, self._secrets)
        return False

    async def aclose(self) -> None:
        """Play nothing any more."""
        self._closed.set()
        self._hold_no_more()
        if self._farewell is not None:
            await asyncio.wait([self._farewell])
