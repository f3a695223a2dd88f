"""A call in a LiveKit room: the caller joins, speaks, listens and waits for their turn."""

from __future__ import annotations

import asyncio
import atexit
import os
import secrets
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import anyio
from livekit import api, rtc
from livekit.agents.types import ATTRIBUTE_AGENT_STATE, TOPIC_CHAT, TOPIC_TRANSCRIPTION

from ..simulator import Scenario
from ._ear import Ear
from ._mouth import Mouth
from ._script import play
from ._sound import Sound
from ._transcripts import Transcript, Transcripts

SAMPLE_RATE = 24_000

QUIET = 0.7
"""Seconds of silence after which it is the caller's turn."""

DTMF_CODES = {digit: code for code, digit in enumerate("0123456789*#ABCD")}
"""The events of RFC 4733."""

AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT

# LiveKit's threads may still report something when Python ends, and a report that waits for the
# interpreter then aborts the process: a test run that passed has failed. LiveKit shuts its threads
# down at exit. This is registered before, so it runs after that, and lets the last reports through.
atexit.register(time.sleep, 0.2)


@dataclass
class Stay:
    """One participant's time in the room. Times are the event loop's (s)."""

    identity: str
    kind: rtc.ParticipantKind.ValueType
    joined: float
    left: float | None = None
    reason: rtc.DisconnectReason.ValueType | None = None
    """Why the participant left, as the server tells it."""


class RoomCall:
    """A caller in a LiveKit room, with the agent that a worker sends there.

    Entering it joins the room; leaving it hangs up. Everything takes as long as in a real call::

        async with RoomCall(url, api_key=key, api_secret=secret) as call:
            await call.until_answer()  # the greeting
            await call.say("What is the weather like in Paris?")
            await call.until_answer()
            await call.until_quiet()
            print(call.transcripts, call.latency)

    Each wait takes at most ``patience`` seconds, and returns at once when the caller is no longer
    in the room.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        api_key: str | None = None,
        api_secret: str | None = None,
        room: str | None = None,
        identity: str = "caller",
        agent_name: str | None = None,
        subscribe: bool = True,
        patience: float = 30.0,
    ) -> None:
        """Prepare a call; ``async with`` connects it.

        Args:
            url: The LiveKit server, such as ``ws://127.0.0.1:7880``. Default: ``LIVEKIT_URL``.
            token: An access token for the caller. Default: one is made with ``api_key`` and
                ``api_secret``.
            api_key: LiveKit's API key. Default: ``LIVEKIT_API_KEY``.
            api_secret: Its secret. Default: ``LIVEKIT_API_SECRET``.
            room: The name of the room. Default: a new room.
            identity: The caller's name in the room.
            agent_name: The worker that the new room asks for (LiveKit's explicit dispatch).
                Workers without a name take every new room.
            subscribe: False: the caller does not hear the agent before ``subscribe()``.
            patience: How long each wait may take (s).

        Raises:
            ValueError: the URL or the credentials are missing, or ``room`` or ``agent_name`` is
                given beside a token, which already holds them.
        """
        self._url = url or os.environ.get("LIVEKIT_URL", "")
        if not self._url:
            raise ValueError("no LiveKit server: give url, or set LIVEKIT_URL")
        if token is not None and (room is not None or agent_name is not None):
            raise ValueError("a token says which room and agent: leave room and agent_name out")
        self._token = token or _make_token(
            api_key or os.environ.get("LIVEKIT_API_KEY", ""),
            api_secret or os.environ.get("LIVEKIT_API_SECRET", ""),
            room or f"call-{secrets.token_hex(6)}",
            identity,
            agent_name,
        )
        self._subscribes = subscribe
        self._patience = patience
        self._changed = asyncio.Event()
        """Set, and replaced by a new one, whenever something comes from the room."""
        self._transcripts = Transcripts(self._on_news)
        self._mouth: Mouth
        self._microphone: rtc.LocalTrackPublication
        self._listening: set[asyncio.Task[None]] = set()
        self._hearing: dict[str, asyncio.Task[None]] = {}
        """Of these, the one for each audio track, by the track's id."""
        self._subscribed = ""
        """The id of the caller's track that somebody has subscribed to; a new connection makes a
        new track."""
        self.room: rtc.Room
        """LiveKit's room, once the call has begun, for what this class does not offer."""
        self.ear = Ear(SAMPLE_RATE)
        """What the caller heard: ``recording()``, ``stretches``."""
        self.ears: dict[str, Ear] = {}
        """The same for each participant alone, by identity."""
        self.digits = ""
        """The DTMF digits that the caller received, in order."""
        self.stays: list[Stay] = []
        """The other participants of the room, in the order in which they joined."""

    async def __aenter__(self) -> RoomCall:
        """Join the room and publish a microphone track.

        Raises:
            livekit.rtc.ConnectError: the server cannot be reached, or refuses the token.
        """
        self.room = rtc.Room()
        self._mouth = Mouth(SAMPLE_RATE)
        self._watch(self.room)
        # If this is cancelled, LiveKit's client takes it for its own fault, and ends the process.
        with anyio.CancelScope(shield=True):
            await self.room.connect(
                self._url, self._token, rtc.RoomOptions(auto_subscribe=self._subscribes)
            )
        try:
            for participant in self.room.remote_participants.values():
                self._on_joined(participant)
            self._microphone = await self.room.local_participant.publish_track(
                self._mouth.track,
                rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE),
            )
        except BaseException:
            await self.hang_up()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.hang_up()

    # -- the state of the call -----------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Whether the caller is no longer in the room."""
        return not self.room.isconnected()

    @property
    def agent(self) -> rtc.RemoteParticipant | None:
        """The agent in the room; None if there is none."""
        agents = [p for p in self.room.remote_participants.values() if p.kind == AGENT]
        return agents[0] if agents else None

    @property
    def agent_state(self) -> str | None:
        """The agent's attribute ``lk.agent.state``: ``initializing``, ``listening``, ``thinking``
        or ``speaking``; None without an agent, or before it has set one."""
        agent = self.agent
        return None if agent is None else agent.attributes.get(ATTRIBUTE_AGENT_STATE)

    @property
    def transcripts(self) -> list[Transcript]:
        """What both sides said, one entry for each utterance, in order."""
        return self._transcripts.seen

    @property
    def latency(self) -> float | None:
        """Time from the end of the caller's last words to the first sound of the answer (s); None
        before that sound."""
        answer = self._answer()
        if answer is None or self._mouth.closed_at is None:
            return None
        return answer - self._mouth.closed_at

    # -- what the caller does -------------------------------------------------------------------

    async def play(self, scenario: Scenario) -> None:
        """Speak the part of the scenario's caller: hear the welcome, then say turn by turn.

        After a turn with ``interrupt_after_ms`` the next begins while the agent still speaks.

        Raises:
            TimeoutError: the agent did not answer within ``patience``.
        """
        await play(self, scenario)

    async def say(self, words: str | Sound) -> None:
        """Say ``words``, and return when they are said or the call is over.

        Text is spoken at about 165 words a minute.

        Raises:
            ValueError: the sound is not mono.
        """
        if self.over:
            return
        with anyio.CancelScope() as scope:

            def stop(_: object) -> None:
                scope.cancel()

            self.room.on("disconnected", stop)
            try:
                await self._mouth.say(words)
            finally:
                self.room.off("disconnected", stop)

    async def write(self, text: str) -> None:
        """Send ``text`` as a chat message (topic ``lk.chat``). LiveKit's agents answer it."""
        await self.room.local_participant.send_text(text, topic=TOPIC_CHAT)

    async def dial(self, digits: str) -> None:
        """Send DTMF digits, one after the other: ``0`` to ``9``, ``*``, ``#``, ``A`` to ``D``.

        Raises:
            ValueError: another character is among them.
        """
        unknown = [digit for digit in digits if digit not in DTMF_CODES]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not a DTMF digit")
        for digit in digits:
            await self.room.local_participant.publish_dtmf(code=DTMF_CODES[digit], digit=digit)

    async def subscribe(self) -> None:
        """Subscribe to the agent's tracks, after ``subscribe=False``."""
        self._subscribes = True
        for participant in self.room.remote_participants.values():
            for publication in participant.track_publications.values():
                publication.set_subscribed(True)

    async def reconnect(self) -> None:
        """Drop the connection and make a new one (LiveKit's full reconnect).

        The agent sees the caller leave and join again.

        Raises:
            TimeoutError: the new connection was not there within ``patience``.
        """
        back = asyncio.Event()
        self.room.once("reconnected", back.set)
        await self.room.simulate_scenario(rtc.SimulateScenarioKind.SIMULATE_FULL_RECONNECT)
        with anyio.fail_after(self._patience):
            await back.wait()

    async def hang_up(self) -> None:
        """Leave the room. A second call does nothing."""
        with anyio.CancelScope(shield=True):
            # LiveKit gives its tracks up as it leaves: a stream of one would fail from then on.
            self.room.off("track_subscribed", self._on_subscribed)
            for task in self._listening:
                task.cancel()
            await asyncio.gather(*self._listening, return_exceptions=True)
            await self.room.disconnect()
            await self._mouth.aclose()

    # -- waiting -------------------------------------------------------------------------------

    async def until(self, happened: Callable[[], bool], what: str = "what was waited for") -> None:
        """Wait until ``happened()`` is true or the call is over.

        It is called whenever audio, text, digits, an attribute or a participant comes.

        Raises:
            TimeoutError: it was not true within ``patience``. The message names ``what``.
        """
        try:
            with anyio.fail_after(self._patience):
                while not (self.over or happened()):
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(
                f"{what}: not within {self._patience:g} s "
                f"(agent: {self.agent_state or 'none'}, "
                f"heard: {len(self.ear.stretches)} stretches of sound)"
            ) from None

    async def until_agent(self) -> None:
        """Wait until an agent is in the room and has subscribed to the caller's audio.

        Raises:
            TimeoutError: none has within ``patience``.
        """
        connected = rtc.ConnectionState.CONN_CONNECTED

        def listens() -> bool:
            subscribed = self._subscribed == self._microphone.sid
            return self.agent is not None and self.room.connection_state == connected and subscribed

        await self.until(listens, "an agent that listens")

    async def until_answer(self) -> None:
        """Wait until the agent is heard: after the caller's last words, if there were any.

        Raises:
            TimeoutError: it was not within ``patience``.
        """
        await self.until(lambda: self._answer() is not None, "the agent's voice")

    async def until_quiet(self) -> None:
        """Wait until the agent has finished: 0.7 s of silence in the agent state ``listening``.

        Raises:
            TimeoutError: it has not within ``patience``.
        """
        start = self.ear.position

        def quiet() -> bool:
            silence = min(self.ear.silence, self.ear.position - start)
            return silence >= QUIET and self.agent_state == "listening"

        await self.until(quiet, "the agent's silence")

    async def until_alone(self) -> None:
        """Wait until no agent is in the room.

        Raises:
            TimeoutError: one still is after ``patience``.
        """
        await self.until(lambda: self.agent is None, "the agent's leave")

    def _answer(self) -> float | None:
        """When the first stretch of sound after the caller's last words began."""
        since = self._mouth.closed_at
        for stretch in self.ear.stretches:
            if since is None or stretch.began >= since:
                return stretch.began
        return None

    # -- what comes from the room ---------------------------------------------------------------

    def _watch(self, room: rtc.Room) -> None:
        room.on("participant_connected", self._on_joined)
        room.on("participant_disconnected", self._on_left)
        room.on("track_published", self._on_published)
        room.on("track_subscribed", self._on_subscribed)
        room.on("track_unsubscribed", self._on_unsubscribed)
        room.on("local_track_subscribed", self._on_heard)
        room.on("sip_dtmf_received", self._on_dtmf)
        room.on("participant_attributes_changed", self._on_news)
        room.on("connection_state_changed", self._on_news)
        room.register_text_stream_handler(TOPIC_TRANSCRIPTION, self._on_transcription)

    def _on_news(self, *_: object) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _on_joined(self, participant: rtc.RemoteParticipant) -> None:
        now = asyncio.get_running_loop().time()
        self.stays.append(Stay(participant.identity, participant.kind, now))
        self._on_news()

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        for stay in self.stays:
            if stay.identity == participant.identity and stay.left is None:
                stay.left = asyncio.get_running_loop().time()
                stay.reason = participant.disconnect_reason
        self._on_news()

    def _on_published(
        self, publication: rtc.RemoteTrackPublication, _: rtc.RemoteParticipant
    ) -> None:
        # LiveKit does so by itself, unless the call began without.
        if self._subscribes:
            publication.set_subscribed(True)

    def _on_subscribed(
        self, track: rtc.Track, _: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            ear = self.ears.setdefault(participant.identity, Ear(SAMPLE_RATE))
            self._hearing[track.sid] = self._listen(self._hear(track, ear))

    def _on_unsubscribed(self, track: rtc.Track, *_: object) -> None:
        # Otherwise its stream goes on with the audio of the next track.
        hearing = self._hearing.pop(track.sid, None)
        if hearing is not None:
            hearing.cancel()

    def _on_heard(self, track: rtc.Track) -> None:
        self._subscribed = track.sid
        self._on_news()

    def _on_dtmf(self, dtmf: rtc.SipDTMF) -> None:
        self.digits += dtmf.digit
        self._on_news()

    def _on_transcription(self, stream: rtc.TextStreamReader, identity: str) -> None:
        self._listen(self._transcripts.read(stream, identity))

    async def _hear(self, track: rtc.Track, alone: Ear) -> None:
        stream = rtc.AudioStream(track, sample_rate=SAMPLE_RATE, num_channels=1)
        loop = asyncio.get_running_loop()
        try:
            async for event in stream:
                pcm, now = bytes(event.frame.data), loop.time()
                self.ear.hear(pcm, now)
                alone.hear(pcm, now)
                self._on_news()
        finally:
            await stream.aclose()

    def _listen(self, to: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(to)
        self._listening.add(task)
        task.add_done_callback(self._listening.discard)
        return task


def _make_token(key: str, secret: str, room: str, identity: str, agent_name: str | None) -> str:
    if not key or not secret:
        raise ValueError(
            "no credentials: give token, or api_key and api_secret, "
            "or set LIVEKIT_API_KEY and LIVEKIT_API_SECRET"
        )
    token = (
        api.AccessToken(key, secret)
        .with_identity(identity)
        .with_grants(api.VideoGrants(room_join=True, room=room))
    )
    if agent_name is not None:
        dispatch = api.RoomAgentDispatch(agent_name=agent_name)
        token = token.with_room_config(api.RoomConfiguration(agents=[dispatch]))
    return token.to_jwt()
