"""The caller's side of a conversation: when they speak, and when that interrupts the assistant.

What the assistant does about the caller's turn is decided in ``_assistant``.
"""

from __future__ import annotations

from collections.abc import Iterable

from phonic_fsm._wire import server

from ._assistant import Assistant
from ._channel import Channel
from ._doubts import Doubts
from ._floor import Floor, Who
from ._scenario import Scenario, Turn
from ._settings import Settings
from ._vad import SpeechDetector, SpeechEdge


class Caller:
    """Hears the caller's audio and takes their turns from ``scenario``.

    ``configure`` must be called before anything else.
    """

    def __init__(
        self,
        scenario: Scenario,
        channel: Channel,
        assistant: Assistant,
        floor: Floor,
        doubts: Doubts,
    ) -> None:
        self._scenario = scenario
        self._channel = channel
        self._assistant = assistant
        self._floor = floor
        self._doubts = doubts
        self._turns = 0
        """How many turns of the caller have ended."""
        self._is_speaking = False
        """Whether a turn of the caller has begun."""
        self._was_heard = False
        """Whether there was any speech in it."""
        self._has_too_few_words = False
        """Whether it is too short to interrupt the assistant."""
        self._unanswered: Turn | None = None
        """The turn that ``mute`` has ended, until more audio comes: without it the service does not
        answer."""
        self._told_afterwards: list[server.ServerMessage] = []
        """What the client is told of an interruption once the turn has ended."""
        self._settings: Settings
        self._detector: SpeechDetector
        self._muted: bool

    def configure(self, settings: Settings, *, keep_mute: bool = False) -> None:
        """Take new settings, and forget a turn that has begun."""
        self._settings = settings
        self._unanswered = None
        if not (keep_mute and settings.push_to_talk):
            self._muted = settings.push_to_talk and self._doubts.push_to_talk_begins == "muted"
        self._forget_turn()

    async def hear(self, audio: bytes) -> None:
        """Take ``audio`` in the config's format. It is ignored while the caller is muted or must
        not interrupt, but an answer that waits for audio begins."""
        if self._unanswered is not None:
            turn, self._unanswered = self._unanswered, None
            self._assistant.answer(turn)
        if self._muted or (self._assistant.is_uninterruptible and not self._is_speaking):
            return
        decode = self._settings.input_format.decode
        for edge in self._detector.feed(audio if decode is None else decode(audio)):
            if edge is SpeechEdge.STARTED:
                await self._start()
                self._was_heard = True
            elif self._pauses_end_turns:
                await self._finish()

    async def unmute(self) -> None:
        """Hear the caller from now on, and let that interrupt the assistant in push-to-talk."""
        self._muted = False
        if not self._settings.push_to_talk or self._assistant.is_uninterruptible:
            return
        if self._doubts.unmute_starts_speech == "yes":
            await self._start(interrupts=True)
        else:
            await self._tell(self._interrupt())

    async def mute(self) -> None:
        """End the caller's turn, if there is one, and ignore their audio from now on."""
        self._muted = True
        await self._finish(by_mute=True)
        self._forget_turn()

    @property
    def _pauses_end_turns(self) -> bool:
        return not self._settings.push_to_talk or self._doubts.push_to_talk_pauses == "end_turns"

    def _forget_turn(self) -> None:
        self._is_speaking = self._was_heard = False
        self._told_afterwards = []
        self._floor.leave(Who.CALLER)
        self._detector = SpeechDetector(
            self._settings.input_format.sample_rate,
            threshold_dbfs=self._settings.threshold_dbfs,
            min_speech_ms=self._settings.min_speech_ms,
            min_silence_ms=self._settings.min_silence_ms,
        )

    async def _start(self, *, interrupts: bool = False) -> None:
        if self._is_speaking:
            return
        self._is_speaking = True
        turn = self._scenario.turn(self._turns)
        self._has_too_few_words = not interrupts and self._is_too_short(turn)
        told = [] if self._has_too_few_words else self._interrupt()
        self._floor.take(Who.CALLER)
        await self._tell([server.UserStartedSpeaking(), *told])
        if not self._has_too_few_words:
            await self._assistant.listen(turn)

    def _interrupt(self) -> list[server.ServerMessage]:
        """Stop the assistant; returns what the client is to be told at once."""
        self._unanswered = None
        at_once, after_the_turn = self._assistant.interrupt()
        self._told_afterwards += after_the_turn
        return at_once

    async def _tell(self, messages: Iterable[server.ServerMessage]) -> None:
        for message in messages:
            await self._channel.send(message)

    async def _finish(self, *, by_mute: bool = False) -> None:
        if not self._is_speaking:
            return
        turn = self._scenario.turn(self._turns)
        is_cancelled = turn.cancelled or not self._was_heard
        self._turns += self._was_heard
        self._is_speaking = self._was_heard = False
        self._floor.leave(Who.CALLER)
        ended = server.InputCancelled() if is_cancelled else server.UserFinishedSpeaking()
        told_afterwards, self._told_afterwards = self._told_afterwards, []
        await self._tell([ended, *told_afterwards])
        if is_cancelled:
            return
        transcript = server.InputText(turn.caller, "en")
        if self._has_too_few_words:
            await self._channel.send(transcript)
        else:
            await self._channel.send_transcript(transcript)
            if by_mute and self._settings.push_to_talk:
                self._unanswered = turn
            else:
                self._assistant.answer(turn)

    def _is_too_short(self, turn: Turn) -> bool:
        words = len(turn.caller.split())
        busy = self._floor.is_taken_by(Who.ASSISTANT, Who.POKE)
        return busy and words < self._settings.min_words_to_interrupt
