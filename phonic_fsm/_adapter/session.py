"""The session that livekit-agents uses.

Every call becomes an event for the machine. Effects that concern LiveKit are carried out here, and
by the session's parts: ``Answers``, ``Replies`` and ``SessionChat``. Where its call comes from and
goes to, if that is another process, is for ``Handovers``. The machine decides what the session does
next, never these.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
import time
from collections import deque
from collections.abc import AsyncIterable, Callable
from functools import partial
from typing import Any, Literal, get_args

import msgspec
from livekit import rtc
from livekit.agents import NOT_GIVEN, AgentSession, NotGivenOr, llm
from livekit.agents.utils import is_given
from msgspec import UNSET, UnsetType, structs

from .._audio.formats import WIRE_FORMATS
from .._core import effects, events
from .._core.events import Event, name_of
from .._core.guards import MAX_CALLER_TURNS
from .._core.machine import SessionMachine, Step
from .._core.states import State
from .._runtime.endpoint import Endpoint
from .._runtime.faults import log_fault_of_others
from .._runtime.fence import Task
from .._runtime.lease import Lease
from .._runtime.log import logger
from .._runtime.recorder import Recorder
from .._runtime.secrets import Secrets
from .._runtime.session import SessionRuntime
from .._wire.codec import encode
from .._wire.config import InlineTool
from .._wire.server import ConversationCreated, ServerMessage
from ..durable._store import JournalError
from . import chat
from .answers import Answers
from .awaited import AwaitedCall
from .config import changed, checked, to_config, warn_of_the_undocumented
from .errors import error_for
from .handovers import Handovers
from .interruption import cancel_if_interrupted
from .journal import rememberable
from .meters import begin_meters
from .metrics import SessionTimes
from .observer import Observer
from .options import PhonicOptions
from .outage import Outage, OutageCare
from .pacing import spare_the_estimate
from .payloads import (
    CLIENT_EVENT,
    SERVER_EVENT,
    ConversationKnown,
    Dtmf,
    PhonicTranscript,
    StateChanged,
    ToolCallSettled,
)
from .replies import Replies, Reply
from .seam import Seam, last_of
from .sendable import sendable
from .standby import Standby
from .succession import Inherited, Succession
from .telemetry import begin_spans
from .tools import ToolConfigs, arguments_for, offered_by

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

LATELY = 12
"""So many frames of the caller's audio are remembered: 0.6 s, as LiveKit cuts them."""

_SERVER_MESSAGES = frozenset(get_args(ServerMessage))


class RealtimeSession(
    llm.RealtimeSession[
        Literal[
            "state_changed",
            "conversation_known",
            "dtmf",
            "tool_call_settled",
            "phonic_server_event_received",
            "phonic_client_event_queued",
        ]
    ]
):
    """One call to Phonic. ``RealtimeModel.session()`` makes it, and it connects at once.

    A session emits LiveKit's realtime events, and these, each with its payload:

    ``state_changed``
        ``StateChanged``: the session went from one state to another.
    ``conversation_known``
        ``ConversationKnown``: Phonic has given the conversation its id.
    ``dtmf``
        ``Dtmf``: the assistant dials digits.
    ``tool_call_settled``
        ``ToolCallSettled``: Phonic has processed a tool's output, has given the tool call up, or
        the caller has interrupted it.
    ``phonic_server_event_received``
        A ``dict``: a message from Phonic as it is on the wire, with audio in base64.
    ``phonic_client_event_queued``
        A ``dict``: a message to Phonic. The caller's audio is left out.
    """

    __module__ = "phonic_fsm"

    def __init__(
        self,
        model: llm.RealtimeModel,
        machine: SessionMachine,
        endpoint: Endpoint,
        *,
        secrets: Secrets,
        options: dict[str, Any],
        tool_configs: ToolConfigs,
        audio_format: str,
        connect_timeout: float,
        own: Callable[[Inherited | None], tuple[Recorder | None, Lease | None]],
        past: Inherited | AwaitedCall | None = None,
        repeatable_tools: tuple[str, ...] = (),
        outage: Outage | None = None,
    ) -> None:
        """``own`` gives what is written of a call, and whose it is, once this process has it.
        ``past`` is what the session goes on from."""
        super().__init__(model)
        wire_format = WIRE_FORMATS[audio_format]
        self._audio_format = audio_format
        self._secrets = secrets
        self._options = options
        self._tool_configs = tool_configs
        self._tools: llm.ToolContext | None = None
        self._times = SessionTimes(model)
        self._spans = begin_spans(model, secrets)
        self._meters = begin_meters(
            wire_format,
            secrets,
            lambda: self.tools.function_tools,
            State.connecting if isinstance(past, AwaitedCall) else machine.state,
        )
        self._turns_started_at: deque[float | None] = deque(maxlen=MAX_CALLER_TURNS)
        """When each of the caller's last turns began (s, by the wall clock), until its transcript
        comes."""
        self._warned: set[str] = set()
        # The first step may move the session: that of one that goes on with a lost conversation.
        self._care = (
            OutageCare(outage, lambda: self._observer.observed, secrets)
            if outage is not None
            else None
        )
        self._machine = machine
        self._chat = chat.SessionChat(machine.context.history, self.emit)
        self._answers = Answers(
            wire_format,
            self._times,
            dispatch=self._dispatch,
            dispatch_unattended=self._dispatch_unattended,
            emit=self.emit,
            tell_item=self._chat.tell,
            arguments_for=lambda name, arguments: arguments_for(self._tools, name, arguments),
        )
        self._replies = Replies(
            # The ids of requests of a process that had the call before differ.
            f"reply_{past.number}" if isinstance(past, (Succession, AwaitedCall)) else "reply",
            secrets,
            dispatch=self._dispatch,
            dispatch_unattended=self._dispatch_unattended,
            answer=lambda: self._answers.newest,
            circumstances=self._circumstances,
        )
        self._lately: deque[rtc.AudioFrame] = deque(maxlen=0)
        """The newest of the caller's audio, told to a successor; none without a journal."""
        self._seam: Seam | None = None
        """Where this process begins to send it, until that is found."""
        self._own = own
        self._make_runtime = partial(
            SessionRuntime,
            endpoint=endpoint,
            secrets=secrets,
            perform=self._performers(),
            wire_format=wire_format,
            connect_timeout=connect_timeout,
            on_step=self._tell_listeners,
            on_passage=self._meters.passed if self._meters is not None else None,
        )
        self._repeatable_tools = repeatable_tools
        self._runtime: SessionRuntime | Standby
        if isinstance(past, AwaitedCall):
            self._handovers = self._make_handovers(None, None)
            self._runtime = standby = Standby(machine, self._stop_waiting)
            run = self._await_call(past, standby)
            for item in past.items():
                self._chat.add(item)
        else:
            run = self._begin(past).run()
        self._observer = Observer(
            self,
            self._dispatch_unattended,
            self._end_recording,
            self._lose_room,
            goes_on=past is not None,
        )
        spare_the_estimate()
        self._running = asyncio.create_task(run, name="phonic-session")

    def _make_handovers(self, lease: Lease | None, past: Inherited | None) -> Handovers:
        return Handovers(
            lease,
            past,
            rests=lambda: self._machine.context.rests and not self._answers.playback.left,
            start=self._start,
            dispatch_unattended=self._dispatch_unattended,
            part=self._part,
            meters=self._meters,
        )

    def _begin(self, past: Inherited | None) -> SessionRuntime:
        """Begin the call, or go on with it."""
        recorder, lease = self._own(past)
        if self._meters is not None and recorder is not None:
            recorder.watch(self._meters)
        if lease is not None:
            self._lately = deque(maxlen=LATELY)
        self._handovers = self._make_handovers(lease, past)
        self._runtime = runtime = self._make_runtime(
            self._machine,
            recorder=recorder,
            lease=lease,
            on_look=self._handovers.look,
            first=self._handovers.first_event(self._repeatable_tools),
        )
        for item in self._handovers.items(self._machine):
            self._chat.add(item)
        return runtime

    async def _await_call(self, awaited: AwaitedCall, standby: Standby) -> None:
        """Go on with the call once it is handed over. If it is not, the session is closed."""
        problem: str | None = None
        try:
            await standby.until_ready()
            succession = await awaited.handed_over()
        except JournalError as error:
            problem = str(error)
        except asyncio.CancelledError:  # LiveKit has closed the session
            pass
        else:
            runtime = self._begin(succession)
            self._seam = Seam(succession.parting, succession.died, standby.frames)
            self._join()
            for event in standby.events:
                runtime.dispatch_unattended(event)
            await runtime.run()
            return
        end = events.Close() if problem is None else events.LeaseLost(problem)
        # What the other process has open is not this one's to close.
        self._machine = SessionMachine(self._machine.context.settings)
        self._runtime = self._make_runtime(self._machine, first=end)
        if problem is not None:
            awaited.decline(problem)
        await self._runtime.run()

    @property
    def state(self) -> State:
        """The state of the session."""
        return self._runtime.state

    @property
    def conversation_id(self) -> str | None:
        """Phonic's id of the present conversation; ``None`` until Phonic has named it."""
        return self._runtime.conversation_id

    @property
    def chat_ctx(self) -> llm.ChatContext:
        """A copy of the conversation so far."""
        return self._chat.context()

    @property
    def tools(self) -> llm.ToolContext:
        """A copy of the function tools that the session has."""
        return self._tools.copy() if self._tools is not None else llm.ToolContext.empty()

    # -- calls -----------------------------------------------------------------------------------

    async def update_instructions(self, instructions: str) -> None:
        """Set the instructions. During a call they replace those that Phonic has.

        Only a ``reset`` can bring Phonic instructions with a template variable (``{{name}}``); it
        cuts off whoever speaks.

        Raises:
            ValueError: the instructions hold half of a surrogate pair; then nothing is changed.
        """
        _expect("update_instructions", "instructions", instructions, str)
        instructions = sendable(instructions, "instructions")
        self._runtime.dispatch(events.UpdateInstructions(instructions))

    async def update_tools(self, tools: list[llm.Tool]) -> None:
        """Set the function tools. During a call they replace those that Phonic has.

        Raises:
            ValueError: a tool cannot be described to Phonic; then nothing is changed. The message
                names the tool and the place in its description or schema.
        """
        _expect("update_tools", "tools", tools, list)
        context = llm.ToolContext(tools)
        inline = self._tool_configs.inline(context)
        self._tools = context
        self._runtime.dispatch(events.UpdateTools(inline))

    async def update_chat_ctx(self, chat_ctx: llm.ChatContext) -> None:
        """Replace the chat context.

        Before the config is sent, the context becomes the history in the prompt. Afterwards Phonic
        gets new tool outputs and system messages at once. A user message at the end is sent with
        the next ``generate_reply``, or told in a system message if the caller speaks first, and so
        are further new messages. If a message is changed or taken out, a ``reset`` with the true
        history follows, as soon as nobody speaks and no answer is due.

        In text, ``?`` takes the place of half of a surrogate pair.

        Raises:
            ValueError: an item's id holds half of a surrogate pair; then nothing is changed.
        """
        _expect("update_chat_ctx", "chat_ctx", chat_ctx, llm.ChatContext)
        update = chat.to_update(self.chat_ctx, chat_ctx)
        self._warn_of_unsupported_content(chat_ctx)
        self._times.asked()
        self._chat.take_over(chat_ctx)
        self._runtime.dispatch(update)

    async def _update_session(
        self,
        *,
        instructions: NotGivenOr[str] = NOT_GIVEN,
        chat_ctx: NotGivenOr[llm.ChatContext] = NOT_GIVEN,
        tools: NotGivenOr[list[llm.Tool]] = NOT_GIVEN,
    ) -> None:
        """Set everything of an agent at once. LiveKit calls this at the start and at a handoff.

        During a call it is sent as one ``reset``.

        Raises:
            ValueError: as for ``update_instructions``, ``update_tools`` and ``update_chat_ctx``;
                then nothing is changed.
        """
        inline: tuple[InlineTool, ...] | UnsetType = UNSET
        context = self._tools
        if is_given(tools):
            context = llm.ToolContext(tools)
            inline = self._tool_configs.inline(context)
        update = events.UpdateSession(
            instructions=(
                sendable(instructions, "instructions") if is_given(instructions) else UNSET
            ),
            tools=inline,
            items=chat.to_items(chat_ctx) if is_given(chat_ctx) else UNSET,
        )
        self._tools = context
        if is_given(chat_ctx):
            self._warn_of_unsupported_content(chat_ctx)
            self._answers.drop_untaken()
            self._chat.take_over(chat_ctx)
        self._runtime.dispatch(update)

    def update_options(
        self,
        *,
        tool_choice: NotGivenOr[llm.ToolChoice | None] = NOT_GIVEN,
        **options: Unpack[PhonicOptions],
    ) -> None:
        """Change options of the conversation; what really changes goes out as one ``reset``.

        A new ``default_language`` alone keeps the former one among the additional ones.

        Args:
            tool_choice: LiveKit's. ``none`` takes your tools from Phonic until it is changed, and
                a named function takes the others. Phonic decides by itself when to call what it
                has, so ``required`` is like ``auto``, with a warning.
            phonic_agent (str): Name of the Phonic agent; the other options override its settings.
            voice (str): Id of the assistant's voice. [default: sabrina]
            additional_voice_ids (list[str]): Ids of further voices: each conversation gets
                ``voice`` or one of these, at random.
            welcome_message (str | None): What the assistant says first; ignored with
                ``generate_welcome_message``. May hold template variables.
            generate_welcome_message (bool | None): Whether Phonic makes up the welcome message.
                [default: False]
            is_welcome_message_interruptible (bool): Whether the caller can interrupt the welcome
                message. [default: True]
            project (str | None): Name of the Phonic project. [default: main]
            default_language (str): ISO 639-1 code of the language that the assistant speaks first.
                [default: en]
            additional_languages (list[str]): ISO 639-1 codes of further languages, without the
                default one; at most two with ``multilingual_mode="auto"``.
            multilingual_mode (str): When the language changes: with every utterance (``auto``),
                when the caller asks for it (``request``, which Phonic recommends), or once, by the
                caller's first turn (``initial``). [auto, request or initial; default: request]
            languages (list[str]): Deprecated: the default language, followed by the additional
                ones.
            audio_speed (float): How fast the assistant speaks, as a factor. [0.5 to 1.5; in steps
                of 0.1; default: 1]
            phonic_tools (list[str]): Names of tools that run at Phonic: webhooks, and the built-in
                ones.
            configs_for_tools (list[PhonicToolConfig]): Settings of single tools, your own and
                built-in ones, each with the tool's ``name``.
            forbid_speech_after_tool_call (list[str]): Deprecated: names of tools; use the field of
                this name in ``configs_for_tools``.
            boosted_keywords (list[str]): Words and short phrases that speech recognition should
                expect.
            min_words_to_interrupt (int): How many words the caller must say to interrupt the
                assistant. [1 to 10 words; default: 1]
            generate_no_input_poke_text (bool): Whether Phonic makes up what the assistant says to a
                silent caller. [default: False]
            no_input_poke_sec (float | None): After how much silence the assistant speaks to the
                caller; ``None`` switches this off. [whole seconds]
            no_input_poke_text (str): What the assistant says to a silent caller; ignored with
                ``generate_no_input_poke_text``. [default: Are you still there?]
            no_input_end_conversation_sec (float): After how much silence Phonic ends the
                conversation. [whole seconds; default: 180]
            websocket_timeout_sec (int): After how long without audio Phonic closes the connection.
                [1 to 300 seconds; default: 60]
            intelligence_level (str): ``standard`` answers sooner, ``high`` reasons better.
                [standard or high; default: standard]
            phonic_model (str): Version of Phonic's model; Phonic's current one if left out.
                [phonic-0.5, phonic-1 or phonic-1.1]
            model (str): Phonic's speech-to-speech engine. [merritt; default: merritt]
            vad_prebuffer_duration_ms (int): How much audio from before the detected start of speech
                is listened to. [0 to 2000 ms; default: 500]
            vad_min_speech_duration_ms (int): How long a sound must last to count as speech. [0 to
                1500 ms; default: 50]
            vad_min_silence_duration_ms (int): How much silence ends the caller's turn. [0 to 1500
                ms; default: 800]
            vad_threshold (float): How sure the speech detector must be: a lower value takes more
                sounds for speech. [0.2 to 0.8; default: 0.38]
            push_to_talk (bool): Whether LiveKit says when the caller's turn begins and ends.
                LiveKit sets it for ``turn_detection="manual"``. [default: False]
            enable_assistant_backchannel (bool): Whether the assistant says “mm-hmm” and the like
                while the caller speaks. [default: False]
            assistant_backchannel_aggressiveness (float): How readily the assistant says such words,
                where they are enabled. [0 to 1; in steps of 0.01; default: 0.1]
            background_noise (str | None): What is heard behind the assistant's voice; ``None`` for
                nothing. [office, call-center or coffee-shop]
            background_noise_level (float): How loud the background noise is. [0 to 0.25; default:
                0]
            pronunciation_dictionary (list[PronunciationEntry]): How words are spoken: ``{word,
                pronunciation}`` entries, up to 1000, each word once and of up to 30 characters, its
                pronunciation of up to 50.
            template_variables (dict[str, str]): Values for ``{{name}}`` in the instructions and the
                welcome message.
            tasks (list[Task]): What the assistant should get done: ``{name, description}`` entries.
            mcp_servers (list[str]): Names of MCP servers that are set up at Phonic.
            observability_integrations (list[str]): Services that Phonic sends traces of the
                conversation to. [braintrust]
            configuration_endpoint (ConfigurationEndpoint | None): ``{url, headers, timeout_ms}`` of
                an HTTPS endpoint of yours that Phonic asks for the options of each conversation.
            outbound_number_pool (OutboundNumberPool | None): ``{active, blocked}``: the phone
                numbers (E.164) that outbound calls come from, and never come from.
            external_id (str): Your own id for the conversation, which Phonic stores with it; not
                blank.
            enable_redaction (bool): Whether Phonic takes personal data out of transcripts and
                recordings. [default: False]
            enable_watermarking (bool): Whether the assistant's audio carries a watermark that
                cannot be heard.
            data_retention_policy (DataRetentionPolicy): How long Phonic keeps transcripts and
                recordings: ``{zero_data_retention: True}``, or ``False`` with ``transcripts`` and
                ``audio_recordings``, each ``{delete_after_hours}``.
            external_storage_policy (str | None): Name of the policy by which Phonic delivers what
                it does not keep. Needs ``zero_data_retention``, and excludes ``enable_redaction``.
            additional_params (dict[str, Any]): Further parameters, passed on to Phonic as they are;
                JSON values.
            stream_ahead_of_real_time (bool): Whether audio arrives as fast as it is made, which is
                the default here, or at the pace at which it is spoken.

        Raises:
            TypeError, ValueError: as for the model's constructor; then nothing is changed.
        """
        changes = checked(options)
        make_changes = self._prepare_changes(changes)
        offered = offered_by(tool_choice) if is_given(tool_choice) else None
        warn_of_the_undocumented(changes)
        make_changes()
        if is_given(tool_choice):
            if tool_choice == "required":
                self._warn_unsupported('update_options(tool_choice="required")')
            self._runtime.dispatch(events.UpdateToolChoice(offered))

    def _prepare_changes(self, changes: dict[str, Any]) -> Callable[[], None]:
        """Check changes against this session's other options; return a function that makes them."""
        updated = changed(self._options, changes)
        former, _ = to_config(self._options, self._audio_format)
        config, tool_configs = to_config(updated, self._audio_format)
        # A process that had the call before may have changed others, which are not in the options.
        config = structs.replace(
            self._machine.context.config,
            **{
                name: value
                for name, value in structs.asdict(config).items()
                if value != getattr(former, name)
            },
        )
        # The session's tools as Phonic takes them; unset until LiveKit has set them.
        inline = UNSET if self._tools is None else tool_configs.inline(self._tools)

        def make_changes() -> None:
            if changes:
                self._secrets.learn(config)
                self._options, self._tool_configs = updated, tool_configs
                self._runtime.dispatch(events.UpdateOptions(config=config, tools=inline))

        return make_changes

    def set_external_id(self, external_id: str) -> None:
        """Store your own id with the conversation, in place of the option ``external_id``.

        Raises:
            ValueError: the id is blank.
        """
        changes = checked({"external_id": external_id})
        self._options = changed(self._options, changes)
        self._runtime.dispatch(events.SetExternalId(external_id))

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        """Send a frame of the caller's audio: PCM16 of any sample rate and number of channels.

        It is sent while the conversation is open; where no frame comes, Phonic gets silence. Until
        Phonic is ready the newest 10 s are kept, and while a lost connection is resumed the newest
        2 s; they are sent later, at twice the pace of speech. Push-to-talk: while the caller is
        muted, the newest ``unmute_prebuffer_ms`` are kept, and Phonic gets silence.
        """
        _expect("push_audio", "frame", frame, rtc.AudioFrame)
        if self._seam is not None:
            self._join(frame)
            return
        self._lately.append(frame)
        self._runtime.push_audio(frame)

    def _join(self, frame: rtc.AudioFrame | None = None) -> None:
        """Send what the process before has not sent."""
        assert self._seam is not None
        frames = self._seam.close(frame)
        if self._seam.is_closed:
            self._seam = None
        elif isinstance(self._runtime, SessionRuntime):
            self._runtime.expect_audio()
        for one in frames:
            self.push_audio(one)

    def _part(self) -> bytes:
        """Send all of the caller's audio that has come, and tell the last of it."""
        if isinstance(self._runtime, SessionRuntime):
            self._runtime.flush_audio()
        return last_of(self._lately)

    def push_video(self, frame: rtc.VideoFrame) -> None:
        """Do nothing but log a warning: Phonic takes no video."""
        self._warn_unsupported("push_video")

    def generate_reply(
        self,
        *,
        instructions: NotGivenOr[str] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        tools: NotGivenOr[list[llm.Tool]] = NOT_GIVEN,
    ) -> Reply:
        """Ask the assistant to speak.

        The request is sent once Phonic is ready, and the welcome and any turn that is being spoken
        are over. The future's result is the generation that the answer opens. A newer request
        cancels the future. If you cancel it, a request that has not been sent is withdrawn.

        The future raises ``ReplyTimedOut`` if Phonic is not ready after 10 s, or if the answer has
        not begun 10 s after the request, and ``ReplyFailed`` if the assistant chooses not to
        respond or the session is closed.
        """
        if is_given(tools) or is_given(tool_choice):
            self._warn_unsupported("generate_reply(tools=..., tool_choice=...)")
        if is_given(instructions):
            _expect("generate_reply", "instructions", instructions, str)
            instructions = sendable(instructions, "instructions")
        self._times.asked()
        return self._replies.generate(instructions if is_given(instructions) else None)

    def say(
        self,
        text: str | AsyncIterable[str],
        *,
        allow_interruptions: NotGivenOr[bool] = NOT_GIVEN,
    ) -> Reply:
        """Have the assistant speak this text. A stream of text is read to its end first.

        The future is like that of ``generate_reply``; it also raises what the stream raises, and
        ``ReplyTimedOut`` if nothing comes from the stream for 10 s. With
        ``allow_interruptions=False`` the caller cannot interrupt the assistant. LiveKit's
        ``AgentSession.say`` does not pass this argument on: it drops it with a warning, since
        Phonic detects the turns.
        """
        _expect("say", "text", text, (str, AsyncIterable))
        interruptible: bool | UnsetType = UNSET
        if is_given(allow_interruptions) and allow_interruptions is not None:
            _expect("say", "allow_interruptions", allow_interruptions, bool)
            interruptible = allow_interruptions
        self._times.asked()
        reply = self._replies.say(text, interruptible)
        cancel_if_interrupted(reply)
        return reply

    def start_user_activity(self) -> None:
        """Push-to-talk: the caller begins to speak.

        The newest ``unmute_prebuffer_ms`` of audio are sent as well.
        """
        self._runtime.dispatch(events.StartUserActivity())

    def commit_audio(self) -> None:
        """Push-to-talk: the caller has finished, and Phonic answers."""
        turns, heard = self._machine.context.caller_turns[-1:], self._runtime.heard_ms
        self._runtime.dispatch(events.CommitAudio())
        if self._machine.context.caller_turns[-1:] != turns:
            # Phonic has not said when this turn began.
            self._turns_started_at.append(time.time() - heard / 1000)

    def clear_audio(self) -> None:
        """Push-to-talk: withdraw what the caller has said since the last ``commit_audio``.

        If Phonic has already heard some of it, a ``reset`` that carries the history withdraws that.
        """
        self._runtime.dispatch(events.ClearAudio(self._runtime.heard_ms))

    def restart(self) -> None:
        """Leave the conversation and go on in a fresh one, which gets the history.

        LiveKit's event ``session_reconnected`` says when it goes on. If an answer was due, it is
        asked for again.
        """
        self._runtime.dispatch(events.Restart())

    def remember(self, value: Any) -> None:
        """Keep a JSON value with the journal, for a process that takes the call over.

        Raises:
            ValueError: it is no JSON value, or takes more than 64 KiB.
        """
        self._runtime.dispatch(events.RememberState(rememberable(value)))
        self._handovers.note_change()

    def move(self) -> None:
        """Have another process go on with the call, at the next good moment."""
        self._handovers.want_move()

    def interrupt(self) -> None:
        """End the open generation at once. The rest of the assistant's turn is dropped.

        If nothing is spoken, a reply that was asked for and has not begun is given up: its future
        is cancelled.

        Push-to-talk: the caller begins to speak, unless an answer is due.
        """
        self._answers.forget()
        self._runtime.dispatch(events.Interrupt())

    def truncate(
        self,
        *,
        message_id: str,
        modalities: list[Literal["text", "audio"]],
        audio_end_ms: int,
        audio_transcript: NotGivenOr[str] = NOT_GIVEN,
    ) -> None:
        """Do nothing but log a warning: Phonic itself says how much of a message was spoken."""
        self._warn_unsupported("truncate")

    async def aclose(self) -> None:
        """End the session, whatever its state. It leaves no task, timer or socket behind.

        You can call this more than once.
        """
        await self._handovers.before_close(
            self.state, job_may_be_ended=self._observer.job_may_be_ended
        )
        self._runtime.dispatch(events.Close())
        # The task itself is not awaited: a caller who stops waiting must not cancel it.
        await asyncio.wait([self._running])
        await self._replies.streams_ended()
        if self._care is not None:
            await self._care.aclose()

    def _warn_unsupported(self, call: str) -> None:
        if call not in self._warned:
            self._warned.add(call)
            logger.warning("%s is not supported by Phonic and does nothing", call)

    def _warn_of_unsupported_content(self, context: llm.ChatContext) -> None:
        for message in context.messages():
            for part in message.content:
                if isinstance(part, (llm.ImageContent, llm.AudioContent)):
                    self._warn_unsupported(f"{type(part).__name__} in a chat context")

    # -- the runtime, for the parts, which are there before it ------------------------------------

    def _dispatch(self, event: Event) -> None:
        self._runtime.dispatch(event)

    def _dispatch_unattended(self, event: Event) -> None:
        self._runtime.dispatch_unattended(event)

    def _start(self, task: Task) -> None:
        self._runtime.start(task)

    def _end_recording(self) -> None:
        self._runtime.end_recording()

    def _lose_room(self, reason: str) -> None:
        self._handovers.lose_room(reason)

    def _stop_waiting(self) -> None:
        self._running.cancel()

    def _circumstances(self) -> str:
        return self._runtime.circumstances()

    # -- effects ---------------------------------------------------------------------------------

    def _performers(self) -> dict[type[Any], Callable[[Any], None]]:
        return {
            **self._answers.performers(),
            **self._replies.performers(),
            **self._chat.performers(),
            effects.EmitSpeechStarted: self._emit_speech_started,
            effects.EmitSpeechStopped: self._emit_speech_stopped,
            effects.EmitTranscript: self._emit_transcript,
            effects.EmitConnected: self._emit_connected,
            effects.EmitDtmf: self._emit_dtmf,
            effects.EmitToolCallSettled: self._emit_tool_call_settled,
            effects.EmitTimings: self._emit_timings,
            effects.EmitReconnected: self._emit_reconnected,
            effects.EmitError: self._emit_error,
        }

    def _emit_speech_started(self, effect: effects.EmitSpeechStarted) -> None:
        if not effect.committed:
            self._turns_started_at.append(time.time())
        self._answers.forget()
        self.emit("input_speech_started", llm.InputSpeechStartedEvent())

    def _emit_speech_stopped(self, _: effects.EmitSpeechStopped) -> None:
        self._times.asked()
        self.emit(
            "input_speech_stopped", llm.InputSpeechStoppedEvent(user_transcription_enabled=True)
        )

    def _emit_transcript(self, effect: effects.EmitTranscript) -> None:
        started_at = None
        if effect.turns_ago < len(self._turns_started_at):
            turn = -1 - effect.turns_ago
            started_at, self._turns_started_at[turn] = self._turns_started_at[turn], None
        self.emit(
            "input_audio_transcription_completed",
            PhonicTranscript(
                item_id=effect.item_id,
                transcript=effect.text,
                is_final=True,
                turn_started_at=started_at,
                language=effect.language,
            ),
        )

    def _emit_connected(self, effect: effects.EmitConnected) -> None:
        self._times.connected()
        self._report_connection_acquired(effect.seconds)

    def _emit_dtmf(self, effect: effects.EmitDtmf) -> None:
        self.emit("dtmf", Dtmf(effect.digits))

    def _emit_tool_call_settled(self, effect: effects.EmitToolCallSettled) -> None:
        effect = self._secrets.out_of(effect)
        self.emit(
            "tool_call_settled",
            ToolCallSettled(
                effect.call_id, effect.name, effect.outcome, effect.duration_ms, effect.problem
            ),
        )

    def _emit_timings(self, effect: effects.EmitTimings) -> None:
        metrics = self._times.measured(effect.timings)
        if metrics is not None:
            self.emit("metrics_collected", metrics)

    def _emit_reconnected(self, _: effects.EmitReconnected) -> None:
        self.emit("session_reconnected", llm.RealtimeSessionReconnectedEvent())

    def _emit_error(self, effect: effects.EmitError) -> None:
        level = logging.WARNING if effect.recoverable else logging.ERROR
        error = error_for(self._secrets.out_of(effect), self._circumstances())
        self._runtime.log(level, f"{effect.kind}: {error}")
        told = llm.RealtimeModelError(
            timestamp=time.time(),
            label=self._realtime_model.label,
            error=error,
            recoverable=effect.recoverable,
        )
        if effect.recoverable or self._care is None:
            self.emit("error", told)
        else:
            # LiveKit ends the call as soon as it is told.
            self._care.take_leave(error, lambda: self.emit("error", told))

    def _tell_listeners(self, step: Step) -> None:
        if self._spans is not None:
            self._spans.record(step)
        if self._meters is not None:
            self._meters.record(step)
        if SERVER_EVENT in self._events and type(step.event) in _SERVER_MESSAGES:
            self.emit(SERVER_EVENT, _as_dict(step.event))
        if CLIENT_EVENT in self._events:
            for effect in step.effects:
                if isinstance(effect, effects.Send):
                    self.emit(CLIENT_EVENT, _as_dict(effect.message))
        if type(step.event) is ConversationCreated and self.conversation_id is not None:
            self.emit("conversation_known", ConversationKnown(self.conversation_id))
        if step.source is step.target:
            return
        if self._care is not None:
            self._care.moved(step.source, step.target)
        change = StateChanged(step.source.value, step.target.value, name_of(step.event))
        self.emit("state_changed", change)
        if step.target is State.ready:
            self._observer.find()
        if step.target is State.closed:
            if self._observer.session_is_closed():
                self._runtime.go_on_recording()
            self._answers.listener.forget()
            if (metrics := self._times.ended()) is not None:
                self.emit("metrics_collected", metrics)

    def emit(self, event: Any, *args: Any) -> None:
        """Call the listeners. What one of them raises is logged, and costs nothing but itself."""
        for listener in list(self._events.get(event, ())):
            try:
                listener(*_wanted(listener, args))
            except BaseException as error:  # noqa: BLE001 - a listener may raise anything
                log_fault_of_others(f"a listener of {event} raised", error, self._secrets)


def observe(session: AgentSession[Any]) -> None:
    """Have the traces of a running ``AgentSession`` tell what only it knows.

    That is what was played, when tools ran, the agent's state and handoffs, and why it was closed.

    In a job, the first ``AgentSession`` is found without this call. Call it in a script or a test,
    and for a further ``AgentSession`` of a job, once the session has been started.

    Raises:
        TypeError: the session's agent has no realtime session of this package.
        RuntimeError: the session has not been started.
    """
    used = session.current_agent.realtime_llm_session
    if not isinstance(used, RealtimeSession):
        raise TypeError(f"observe: the agent's realtime session is a {type(used).__name__}")
    used._observer.follow(session)


def _expect(call: str, name: str, value: object, kind: type | tuple[type, ...]) -> None:
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{call}: {name} must be {wanted}, got {type(value).__name__}")


def _wanted(listener: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments that a listener gets: as many as it takes, as with LiveKit's emitter."""
    parameters = inspect.signature(listener).parameters.values()
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return args
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return args[: sum(parameter.kind in positional for parameter in parameters)]


def _as_dict(message: Any) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(encode(message))
    return decoded
