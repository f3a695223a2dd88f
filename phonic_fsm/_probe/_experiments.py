"""Short conversations, and what each of them tells about the open questions.

The caller speaks with Phonic's own voice: the probe has it say a sentence, and plays that back. So
it is speech, in a language that Phonic knows, and no recording is needed.

An experiment tells what it has found, one doubt after the other. Where it cannot go on it raises
``NotSeen``, and what it was still to find is not told.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import anyio
from anyio.abc import TaskGroup

from .._runtime.endpoint import Endpoint
from .._wire import client, server
from .._wire.config import ConfigOptions, InlineTool
from ._line import CHUNK_BYTES, Line, Refused, Transcript, begins_answer, is_sound

SOON = 3.0
"""Seconds within which Phonic does by itself what it does by itself."""

LONGEST = 15.0
"""Seconds in which it does what it has been asked to do."""

GREETING = "Hello, can you hear me?"
STORY = "The lighthouse stands on a rock, and on clear nights you can see it from far away."
QUESTION = "What is the capital of France?"
WORD = "elephant"
WELCOME = "Good evening."
PROMPT = (
    "This is a test of a telephone line. Answer everything in one short sentence. "
    "Whenever the caller speaks and there is a tool named look_up, call it first."
)

TOOL = "look_up"
OUTPUT = "it is sunny"

ABNORMAL_CLOSURE = 1006
"""What stands for a close code where no close frame came."""

Tell = Callable[[str, str], None]
"""Takes a doubt and its variant."""


class NotSeen(Exception):
    """What the experiment needs did not happen. The text says what."""


def _config(**fields: Any) -> ConfigOptions:
    """What all conversations of the probe have in common."""
    common = {
        "system_prompt": PROMPT,
        "input_format": "pcm_24000",
        "output_format": "pcm_24000",
        "generate_welcome_message": False,
        "vad_min_silence_duration_ms": 500,
    }
    return ConfigOptions(**{**common, **fields})


def _tool(**fields: Any) -> InlineTool:
    parameters = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    function = {
        "name": TOOL,
        "description": "Looks up what the caller wants to know. Call it before every answer.",
        "parameters": parameters,
        "strict": True,
    }
    return InlineTool(tool_schema={"type": "function", "function": function}, **fields)


class Caller:
    """Makes the probe's calls, and has a voice."""

    def __init__(
        self,
        endpoint: Endpoint,
        transcript: Transcript,
        tasks: TaskGroup,
        *,
        agent: str | None,
    ) -> None:
        self.agent = agent
        """The Phonic agent whose welcome is tried, if there is one."""
        self._endpoint = endpoint
        self._transcript = transcript
        self._tasks = tasks
        self._lines = 0
        self._voice: bytes | None = None

    @asynccontextmanager
    async def call(self, *, streams_audio: bool = True, **fields: Any) -> AsyncIterator[Line]:
        """A conversation that is open, with these fields in its config.

        Raises:
            Refused: Phonic does not open it.
        """
        async with self._line() as line:
            config = _config(**fields)
            line.send(client.Config(**{f: getattr(config, f) for f in config.__struct_fields__}))
            ready = await line.find(_is(server.ReadyToStartConversation), since=0, within=LONGEST)
            if ready is None:
                raise Refused(line.refusal or f"Phonic was not ready after {LONGEST:g} s")
            line.streams_audio = streams_audio
            yield line

    @asynccontextmanager
    async def resumed(self, conversation_id: str, attempts: int = 3) -> AsyncIterator[Line]:
        """A conversation that goes on over a new connection.

        Raises:
            NotSeen: it does not, at the last attempt either.
        """
        for attempt in range(attempts):
            async with self._line(conversation_id) as line:
                if (code := await _refused_with(line)) is None:
                    yield line
                    return
            if attempt < attempts - 1:
                await anyio.sleep(SOON / 3)
        raise NotSeen(f"the conversation could not be resumed ({code})")

    async def takes_back(self, conversation_id: str) -> int | None:
        """Try to resume a conversation: ``None`` if it can be, else the close code."""
        async with self._line(conversation_id) as line:
            return await _refused_with(line)

    async def voice(self) -> bytes:
        """What the caller says: a sentence (PCM16 LE), which Phonic has spoken."""
        if self._voice is None:
            async with self.call(stream_ahead_of_real_time=True) as line:
                line.send(client.Say(GREETING))
                await _need(line, _is(server.AssistantFinishedSpeaking), 0, "the end of a `say`")
                self._voice = b"".join(m.audio for m in line.heard if is_sound(m))
        if not self._voice:
            raise NotSeen("what was to be said with `say` could not be heard")
        return self._voice

    @asynccontextmanager
    async def _line(self, resume: str | None = None) -> AsyncIterator[Line]:
        self._lines += 1
        line = Line(self._endpoint, self._transcript, f"line {self._lines}", resume)
        self._tasks.start_soon(line.run)
        self._tasks.start_soon(line.stream)
        try:
            yield line
        finally:
            await line.hang_up()


async def _refused_with(line: Line) -> int | None:
    """The code with which Phonic refuses to resume; ``None`` if it resumes."""
    await line.find(_is(server.ConversationReconnected), since=0, within=LONGEST)
    if line.heard and isinstance(line.heard[0], server.ConversationReconnected):
        return None
    return line.closed.code if line.closed is not None else 0


def _is(*kinds: type[Any]) -> Callable[[Any], bool]:
    return lambda message: isinstance(message, kinds)


def _names(*words: str) -> Callable[[Any], bool]:
    """Whether a message is a problem that has one of these words in it."""

    def test(message: Any) -> bool:
        if not isinstance(message, (server.Error, server.Warning)):
            return False
        said = repr(message).lower()
        return any(word in said for word in words)

    return test


async def _need(line: Line, test: Callable[[Any], bool], since: int, what: str) -> int:
    """The number of the message, which must come.

    Raises:
        NotSeen: it does not. ``what`` is the thing in words.
    """
    found = await line.find(test, since=since, within=LONGEST)
    if found is None:
        raise NotSeen(f"{what} did not come within {LONGEST:g} s")
    return found


async def _comes(line: Line, test: Callable[[Any], bool], since: int) -> bool:
    return await line.find(test, since=since, within=SOON) is not None


async def _conversation_id(line: Line) -> str:
    number = await _need(line, _is(server.ConversationCreated), 0, "`conversation_created`")
    conversation_id: str = line.heard[number].conversation_id
    return conversation_id


async def _tell_a_story(line: Line) -> int:
    """Have the assistant speak for some seconds; returns when it has begun, and since where."""
    since = line.now
    line.send(client.Say(STORY))
    await _need(line, lambda _: len(line.text(since)) > len(STORY) // 4, since, "a `say`")
    return since


# -- at the start ---------------------------------------------------------------------------------


async def opening(caller: Caller, tell: Tell) -> None:
    async with caller.call() as line:
        await _conversation_id(line)
        first = next(m for m in line.heard if _is(*_OPENING)(m))
        tell("opening", "created_first" if isinstance(first, _OPENING[0]) else "ready_first")


_OPENING = (server.ConversationCreated, server.ReadyToStartConversation)


async def null_welcome(caller: Caller, tell: Tell) -> None:
    if caller.agent is None:
        raise NotSeen("it needs an agent with a welcome of its own: name one with --agent")
    async with caller.call(agent=caller.agent, generate_welcome_message=None) as line:
        if not await _comes(line, begins_answer, 0):
            raise NotSeen(f"the agent {caller.agent} has no welcome")
    async with caller.call(agent=caller.agent, welcome_message=None) as line:
        tell("null_welcome", "keeps_agents" if await _comes(line, begins_answer, 0) else "silences")


# -- turns ----------------------------------------------------------------------------------------


async def turns(caller: Caller, tell: Tell) -> None:
    voice = await caller.voice()
    async with caller.call() as line:
        since = line.now
        await line.speak(voice)
        transcript = await _need(line, _is(server.InputText), since, "a transcript")
        answer = await _need(line, begins_answer, since, "an answer")
        tell("transcript", "before_answer" if transcript < answer else "after_answer_begins")


async def interruption(caller: Caller, tell: Tell) -> None:
    voice = await caller.voice()
    async with caller.call() as line:
        since = await _tell_a_story(line)
        await line.speak(voice)
        begun = await _need(line, _is(server.UserStartedSpeaking), since, "the caller's speech")
        ended = await _need(line, _is(server.UserFinishedSpeaking), begun, "the end of the speech")
        answer = await line.find(begins_answer, since=ended, within=LONGEST)
        told = await line.find(_is(server.InterruptedResponse), since=begun, within=SOON)
        if told is None:
            tell("interrupted_response", "never")
        else:
            tell("interrupted_response", "at_once" if told < ended else "after_the_turn")
        between = line.heard[begun:answer]
        has_finished = any(map(_is(server.AssistantFinishedSpeaking), between))
        tell("interrupted_turn_finishes", "yes" if has_finished else "no")


# -- push-to-talk ---------------------------------------------------------------------------------


async def push_to_talk(caller: Caller, tell: Tell) -> None:
    voice = await caller.voice()

    async def is_heard(line: Line) -> bool:
        since = line.now
        await line.speak(voice)
        return await _comes(line, _is(server.UserStartedSpeaking), since)

    async with caller.call(push_to_talk=True) as line:
        listens_at_first = await is_heard(line)
        tell("push_to_talk_begins", "listening" if listens_at_first else "muted")

        if listens_at_first:
            line.send(client.Mute())
            await line.quiet(SOON)
        since = line.now
        line.send(client.Unmute())
        begins = await _comes(line, _is(server.UserStartedSpeaking), since)
        tell("unmute_starts_speech", "yes" if begins else "no")

        await line.speak(voice)
        since = line.now
        ended = _is(server.UserFinishedSpeaking, server.InputText, server.AssistantStartedSpeaking)
        tell(
            "push_to_talk_pauses",
            "end_turns" if await _comes(line, ended, since) else "are_ignored",
        )

        line.send(client.Mute())
        await line.quiet(SOON)
        if not listens_at_first:  # to have another state than at the beginning
            line.send(client.Unmute())
            await line.quiet(SOON)
        line.send(client.Reset(_config(push_to_talk=True)))
        is_as_at_first = await is_heard(line) == listens_at_first
        tell("reset_mute", "as_at_first" if is_as_at_first else "kept")


# -- requests -------------------------------------------------------------------------------------


async def requests(caller: Caller, tell: Tell) -> None:
    async with caller.call() as line:
        since = line.now
        line.send(client.GenerateReply(user_message=QUESTION))
        answer = await _need(line, begins_answer, since, "an answer to what was typed")
        await _need(line, _is(server.AssistantFinishedSpeaking), answer, "its end")
        texts = [m.text for m in line.heard[since:] if isinstance(m, server.InputText)]
        is_echoed = any(_words(text) == _words(QUESTION) for text in texts)
        tell("user_message", "echoed" if is_echoed else "silent")

        since = await _tell_a_story(line)
        line.send(client.GenerateReply(system_message=f"Say nothing but the word: {WORD}"))

        def is_answered(_: Any) -> bool:
            return WORD in line.text(since).lower()

        end = _words(STORY)[-1]
        await line.find(
            lambda m: is_answered(m) or end in _words(line.text(since)), since=since, within=LONGEST
        )
        if is_answered(None):
            tell("request_in_turn", "cuts_in")
        else:
            waits = await line.find(is_answered, since=since, within=2 * SOON)
            tell("request_in_turn", "is_dropped" if waits is None else "waits")


def _words(text: str) -> list[str]:
    letters = "".join(letter if letter.isalnum() else " " for letter in text.lower())
    return letters.split()


# -- tools ----------------------------------------------------------------------------------------


async def _call_of_a_tool(line: Line, voice: bytes) -> str:
    """The id of a call that the assistant makes because the caller has spoken."""
    since = line.now
    await line.speak(voice)
    call = await _need(line, _is(server.ToolCall), since, "a call of the tool")
    call_id: str = line.heard[call].tool_call_id
    return call_id


async def _is_taken(line: Line, call_id: str) -> bool:
    """Send an output; whether Phonic takes it."""
    since = line.now
    line.send(client.ToolCallOutput(call_id, OUTPUT))
    verdict = _is(server.ToolCallOutputProcessed, server.Error)
    found = await line.find(verdict, since=since, within=SOON)
    if found is None:
        raise NotSeen("an output was neither acknowledged nor refused")
    return isinstance(line.heard[found], server.ToolCallOutputProcessed)


async def outputs(caller: Caller, tell: Tell) -> None:
    voice = await caller.voice()
    config = _config(tools=[_tool(tool_call_output_timeout_ms=30_000)])
    async with caller.call(tools=config.tools) as line:
        call_id = await _call_of_a_tool(line, voice)
        line.send(client.Reset(config))
        tell("reset_calls", "kept" if await _is_taken(line, call_id) else "forgotten")

        await line.quiet(SOON)
        call_id = await _call_of_a_tool(line, voice)
        if not await _is_taken(line, call_id):
            raise NotSeen("an output was refused at once")
        line.cut()
        await line.end(LONGEST)
        async with caller.resumed(await _conversation_id(line)) as again:
            is_known = await _is_taken(again, call_id)
            tell("repeated_output", "acknowledged" if is_known else "refused")


async def async_tool(caller: Caller, tell: Tell) -> None:
    voice = await caller.voice()
    async with caller.call(tools=[_tool(execution_mode="async")]) as line:
        call_id = await _call_of_a_tool(line, voice)
        await line.quiet(SOON / 2)  # what is said meanwhile
        since = line.now
        if not await _is_taken(line, call_id):
            raise NotSeen("an output was refused at once")
        answers = await _comes(line, begins_answer, since)
        tell("async_output", "at_once" if answers else "next_turn")


# -- reset ----------------------------------------------------------------------------------------


async def reset(caller: Caller, tell: Tell) -> None:
    async with caller.call() as line:
        await _tell_a_story(line)
        since = line.now
        line.send(client.Reset(_config(welcome_message=WELCOME)))
        await anyio.sleep(SOON)
        begun = await line.find(_is(server.AssistantStartedSpeaking), since=since, within=0)
        rest = line.heard[since:begun]
        has_finished = any(map(_is(server.AssistantFinishedSpeaking), rest))
        tell("reset_turn", "finishes" if has_finished else "ends_silently")
        tell("reset_chunks", "arrive" if any(map(is_sound, rest)) else "stop")
        is_said = _words(WELCOME)[-1] in _words(line.text(since))
        tell("reset_welcome", "is_said" if is_said else "is_silent")


# -- settings, errors and audio -------------------------------------------------------------------


async def system_prompt(caller: Caller, tell: Tell) -> None:
    async with caller.call() as line:
        since = line.now
        line.send(client.UpdateSystemPrompt(f"{PROMPT} Be kind."))
        test = _names("system_prompt", "deprecat")
        problem = await line.find(test, since=since, within=SOON)
        if problem is None:
            tell("update_system_prompt", "taken")
        else:
            is_warning = isinstance(line.heard[problem], server.Warning)
            tell("update_system_prompt", "warned" if is_warning else "refused")


async def error(caller: Caller, tell: Tell) -> None:
    async with caller.call() as line:
        since = line.now
        line.send(client.AudioChunk(bytes(10 * CHUNK_BYTES)))  # 40 ms at most are allowed
        if not await _comes(line, _is(server.Error), since):
            raise NotSeen("a chunk of 200 ms was not refused")
        tell("error", "leaves_open" if await line.end(SOON) is None else "closes")


async def bursts(caller: Caller, tell: Tell) -> None:
    async with caller.call() as line:
        since = line.now
        for _ in range(round(6 / 0.02)):
            line.send(client.AudioChunk(bytes(CHUNK_BYTES)))
        is_refused = await _comes(line, _names("audio"), since) or line.closed is not None
        tell("audio_bursts", "refused" if is_refused else "taken")


async def idle(caller: Caller, tell: Tell) -> None:
    async with caller.call(streams_audio=False, websocket_timeout_sec=1) as line:
        closed = await line.end(LONGEST)
        if closed is None:
            raise NotSeen(f"the connection was not closed {LONGEST:g} s after the last audio")
        tell("idle_close", "drop" if closed.code == ABNORMAL_CLOSURE else str(closed.code))


# -- lost connections -----------------------------------------------------------------------------


async def early_resume(caller: Caller, tell: Tell) -> None:
    async with caller.call() as line:
        conversation_id = await _conversation_id(line)
        first = await caller.takes_back(conversation_id)
        if first is None:
            tell("early_resume", "taken")
            return
        await anyio.sleep(SOON / 3)
        again = await caller.takes_back(conversation_id)
        tell("early_resume", "refused_once" if again is None else "refused")


async def resumed_turn(caller: Caller, tell: Tell) -> None:
    async with caller.call() as line:
        await _tell_a_story(line)
        line.cut()
        await line.end(LONGEST)
        async with caller.resumed(await _conversation_id(line)) as again:
            goes_on = await _comes(again, is_sound, 0)
            tell("resumed_turn", "goes_on" if goes_on else "is_lost")


async def closed_by_client(caller: Caller, tell: Tell) -> None:
    async with caller.call() as line:
        conversation_id = await _conversation_id(line)
    is_kept = await caller.takes_back(conversation_id) is None
    tell("closed_by_client", "can_be_resumed" if is_kept else "is_over")


class Experiment(NamedTuple):
    """A conversation, and the doubts that it is about."""

    about: tuple[str, ...]
    run: Callable[[Caller, Tell], Awaitable[None]]


EXPERIMENTS = (
    Experiment(("opening",), opening),
    Experiment(("null_welcome",), null_welcome),
    Experiment(
        ("push_to_talk_begins", "unmute_starts_speech", "push_to_talk_pauses", "reset_mute"),
        push_to_talk,
    ),
    Experiment(("transcript",), turns),
    Experiment(("interrupted_response", "interrupted_turn_finishes"), interruption),
    Experiment(("user_message", "request_in_turn"), requests),
    Experiment(("reset_calls", "repeated_output"), outputs),
    Experiment(("async_output",), async_tool),
    Experiment(("reset_turn", "reset_chunks", "reset_welcome"), reset),
    Experiment(("update_system_prompt",), system_prompt),
    Experiment(("error",), error),
    Experiment(("audio_bursts",), bursts),
    Experiment(("idle_close",), idle),
    Experiment(("early_resume",), early_resume),
    Experiment(("resumed_turn",), resumed_turn),
    Experiment(("closed_by_client",), closed_by_client),
)
"""In the order of a call."""
