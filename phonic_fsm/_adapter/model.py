"""The model: it checks the options once, and makes sessions with copies of them."""

from __future__ import annotations

import math
import os
import sys
import weakref
from collections.abc import Sequence
from os import PathLike
from typing import Any, get_args

from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectOptions,
    JobContext,
    NotGivenOr,
    get_job_context,
    llm,
)
from livekit.agents.utils import is_given, shortuuid
from msgspec import structs

from .._core.context import Settings
from .._core.machine import SessionMachine
from .._runtime.endpoint import Endpoint
from .._runtime.lease import Lease
from .._runtime.recorder import Recorder
from .._runtime.secrets import Secrets
from .._wire.config import AudioFormat
from ..durable._journal import JournalRecorder
from ..durable._place import journals
from ..durable._store import LIFETIME, Journal
from ..trace._recorder import TraceRecorder
from ..trace._recording import checked_recording
from ..trace._rotation import TraceLimits
from ..trace._sinks import Function
from .awaited import AwaitedCall
from .config import changed, checked, to_config, warn_of_the_undocumented
from .journal import new_ownership, rememberable
from .options import PhonicOptions
from .outage import Outage
from .past import Past
from .plugin import register
from .recorders import together
from .recovery import BeginsAnew, find_and_take_over
from .session import RealtimeSession
from .succession import Inherited, Remnant, Succession

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

register()


class RealtimeModel(llm.RealtimeModel):
    """Phonic's speech-to-speech model, for ``AgentSession(llm=...)`` or ``Agent(llm=...)``."""

    # LiveKit labels its errors and metrics with it.
    __module__ = "phonic_fsm"

    def __init__(
        self,
        *,
        api_key: NotGivenOr[str] = NOT_GIVEN,
        base_url: NotGivenOr[str] = NOT_GIVEN,
        audio_format: AudioFormat = "pcm_24000",
        trace: NotGivenOr[str | PathLike[str] | Function | None] = NOT_GIVEN,
        redact_trace: bool = False,
        trace_audio: bool = False,
        trace_limits: TraceLimits = TraceLimits(),  # noqa: B008 - it cannot change
        journal: NotGivenOr[str | PathLike[str] | None] = NOT_GIVEN,
        journal_lifetime: float = LIFETIME,
        repeatable_tools: Sequence[str] = (),
        outage: Outage | None = None,
        unmute_prebuffer_ms: int = 1000,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **options: Unpack[PhonicOptions],
    ) -> None:
        """Check the options. Nothing is connected yet: ``session()`` does that.

        Options from ``phonic_agent`` on are Phonic's. One that is left out is not sent. Brackets
        hold what Phonic documents: the values or the range, and the default. A value outside a
        documented range is sent, with a warning in the log.

        Args:
            api_key: Phonic's key. Default: the environment variable ``PHONIC_API_KEY``. White space
                around it is taken off.
            base_url: The server's address, such as that of the simulator: ``ws://`` or ``wss://``,
                host and port. Default: ``PHONIC_BASE_URL``, else Phonic's own.
            audio_format: The audio on the wire, in both directions, mono: PCM16 of this rate (Hz),
                or µ-law for telephony. The default is LiveKit's own rate.
            trace: Where to record sessions, each to a file of its own: a directory; a path with the
                fields ``{job}``, ``{room}``, ``{time}`` and ``{session}``, compressed if it ends in
                ``.gz``; or a function, which is called in a thread with a session's id and one line
                at a time. ``None`` records nothing. Default: ``PHONIC_FSM_TRACE``.
            redact_trace: Whether traces get placeholders for what was said and for whatever else
                may be private.
            trace_audio: Whether both sides' audio is recorded, as WAV files beside the trace.
            trace_limits: How large a trace may become, and how many traces are kept.
            journal: Where to keep a journal of each session, from which another process can go on
                with the call if this one dies: a directory, for the processes of one host, or the
                address of a Redis (``redis://`` or ``rediss://``). It holds all that is said.
                ``None`` keeps none. Default: ``PHONIC_FSM_JOURNAL``.
            journal_lifetime: How long a journal is kept after its call (s).
            repeatable_tools: The names of your tools that may run twice: if the process dies while
                one runs, the next process runs it again. Of any other tool, Phonic is told that its
                outcome is not known.
            outage: What the caller hears while Phonic is away, and what happens at the end of all
                attempts: an ``Outage``. [default: nothing is played, and the error ends the call]
            unmute_prebuffer_ms: Push-to-talk: how much of the caller's audio from before
                ``start_user_activity`` Phonic hears (ms, 0 to 10000). LiveKit's own turn detection
                calls it half a second after the caller has begun to speak. With 0, nothing that is
                said while the caller is muted leaves the process.
            conn_options: LiveKit's: the number of retries, the longest pause between them (s), and
                the timeout of an attempt to connect (s).
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
            TypeError: an option does not exist.
            ValueError: there is no API key, the key or the address cannot work, or an option has a
                value that Phonic cannot take. The message names the option, the value and the rule;
                it shows nothing of the key.
        """
        self._options = checked(options)
        warn_of_the_undocumented(self._options)
        super().__init__(capabilities=_capabilities(self._options))
        key = (api_key if is_given(api_key) else None) or os.environ.get("PHONIC_API_KEY")
        if audio_format not in get_args(AudioFormat):
            raise ValueError(
                f"audio_format must be one of {', '.join(get_args(AudioFormat))}, "
                f"got {audio_format!r}"
            )
        if not (type(unmute_prebuffer_ms) is int and 0 <= unmute_prebuffer_ms <= 10_000):
            raise ValueError(
                "unmute_prebuffer_ms must be an integer from 0 to 10000 (ms), "
                f"got {unmute_prebuffer_ms!r}"
            )
        self._unmute_prebuffer_ms = unmute_prebuffer_ms
        url = base_url if is_given(base_url) else os.environ.get("PHONIC_BASE_URL")
        self._endpoint = Endpoint(key or "", url) if url else Endpoint(key or "")
        self._audio_format = audio_format
        to_config(self._options, audio_format)
        target = trace if is_given(trace) else os.environ.get("PHONIC_FSM_TRACE") or None
        self._recording = (
            checked_recording(target, redact=redact_trace, audio=trace_audio, limits=trace_limits)
            if target is not None
            else None
        )
        place = journal if is_given(journal) else os.environ.get("PHONIC_FSM_JOURNAL") or None
        self._journals = None if place is None else journals(place, lifetime=journal_lifetime)
        self._repeatable_tools = _names("repeatable_tools", repeatable_tools)
        self._succession: Inherited | AwaitedCall | None = None
        """What the next session goes on from."""
        self._former: Journal | str | None = None
        """A journal of the same call that is still to be ended, or its name. The next session ends
        it, and begins its own."""
        if outage is not None and not isinstance(outage, Outage):
            raise ValueError(f"outage must be an Outage, got {outage!r}")
        self._outage = outage
        self._conn_options = _checked_connecting(conn_options)
        self._sessions: weakref.WeakSet[RealtimeSession] = weakref.WeakSet()

    @property
    def model(self) -> str:
        """The model's name in LiveKit's metrics, ``phonic``."""
        return "phonic"

    @property
    def provider(self) -> str:
        """The provider's name in LiveKit's metrics, ``phonic``."""
        return "phonic"

    def session(self, *, turn_detection_disabled: bool = False) -> RealtimeSession:
        """Start a session with a copy of the options. It connects in the background.

        Call it in a running event loop. With ``turn_detection_disabled`` the session is
        push-to-talk: Phonic listens from ``start_user_activity()`` on, and answers when
        ``commit_audio()`` is called.
        """
        options = self._options | ({"push_to_talk": True} if turn_detection_disabled else {})
        config, tool_configs = to_config(options, self._audio_format)
        past, self._succession = self._succession, None
        former, self._former = self._former, None
        secrets = Secrets(self._endpoint.api_key)
        secrets.learn(config)
        if isinstance(past, (Succession, AwaitedCall)):
            machine = past.machine
        else:
            machine = SessionMachine(
                Settings(
                    id_seed=shortuuid(),
                    config=config,
                    max_retries=self._conn_options.max_retry,
                    retry_interval=self._conn_options.retry_interval,
                    answer_timeout=self._conn_options.timeout,
                    unmute_prebuffer_ms=self._unmute_prebuffer_ms,
                )
            )
        settings = machine.context.settings

        def own(past: Inherited | None) -> tuple[Recorder | None, Lease | None]:
            succession = past if isinstance(past, Succession) else None
            if succession is not None:
                if succession.starting is not None:
                    succession.starting.cancel()
                # What a journal has of it may be masked.
                machine.context.config = structs.replace(
                    machine.context.config, configuration_endpoint=config.configuration_endpoint
                )
            recorders: list[Recorder] = []
            if self._recording is not None:
                job, room = _job_and_room()
                recorders.append(
                    TraceRecorder(self._recording, settings, secrets, job=job, room=room)
                )
            lease = None
            if self._journals is not None:
                lease = (
                    succession.ownership
                    if succession is not None
                    else new_ownership(self._journals, settings, former)
                )
                folded = succession.folded if succession is not None else None
                recorders.append(JournalRecorder(lease, settings, secrets, folded))
            return together(recorders), lease

        session = RealtimeSession(
            self,
            machine,
            self._endpoint,
            secrets=secrets,
            options=options,
            tool_configs=tool_configs,
            audio_format=settings.config.output_format or self._audio_format,
            connect_timeout=self._conn_options.timeout,
            own=own,
            past=past,
            repeatable_tools=self._repeatable_tools,
            outage=self._outage,
        )
        self._sessions.add(session)
        return session

    async def recover(self, context: JobContext | str) -> Past | None:
        """Take over the call that this job is to go on with; ``None`` for a new call.

        Call it before the ``AgentSession`` is started. It finds the call by the job's metadata, as
        a guard dispatches it, or by the room and the agent's name; takes its journal over; and
        removes the participant of the process that is gone. The model's next session goes on with
        the call. Where that cannot be, the log says why, and the call begins anew. Outside of a
        job, as in a test, give it the journal's name.

        Raises:
            CallTakenOver: another process has the call, or it is over. Return from the entrypoint:
                the job is shut down, as a second agent would talk over the first.
            ValueError: the model keeps no journals.
        """
        if self._journals is None:
            raise ValueError("recover: this model has no journal=, so there is nothing to recover")
        found = await find_and_take_over(self._journals, context)
        if found is None:
            return None
        if isinstance(found, BeginsAnew):
            self._former = found.journal
            return None
        self._succession, metadata = found
        if isinstance(self._succession, Remnant):
            self._former = self._succession.journal
        if isinstance(self._succession, Succession):
            return self._succession.past(self._repeatable_tools, metadata)
        return self._succession.past(metadata)

    def move(self) -> None:
        """Have another process go on with this model's calls, each at its next good moment.

        It asks LiveKit for a successor, which must call ``recover``. The call stays here until the
        successor is in the room, and moves when nobody speaks and no tool runs, or 10 s later. The
        job is shut down then. If no successor comes within 20 s, the call stays, and another one
        is asked for later. Outside of a job, and without ``journal=``, this does nothing.
        """
        for session in tuple(self._sessions):
            session.move()

    def remember(self, value: object) -> None:
        """Keep a JSON value with the journals of this model's sessions, in place of the last one.

        A process that takes the call over finds it in ``Past.state``. Without ``journal=`` this
        does nothing.

        Raises:
            ValueError: it is no JSON value, or takes more than 64 KiB.
        """
        checked = rememberable(value)
        for session in tuple(self._sessions):
            session.remember(checked)

    def update_options(self, **options: Unpack[PhonicOptions]) -> None:
        """Change options of this model and of its sessions, also during a call.

        Args:
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
            TypeError, ValueError: as for the constructor; then nothing is changed.
        """
        changes = checked(options)
        updated = changed(self._options, changes)
        to_config(updated, self._audio_format)
        prepared = [session._prepare_changes(changes) for session in self._sessions]
        warn_of_the_undocumented(changes)
        self._options = updated
        for make_changes in prepared:
            make_changes()

    async def aclose(self) -> None:
        """Do nothing: each session is closed by whoever uses it."""


def _capabilities(options: dict[str, Any]) -> llm.RealtimeCapabilities:
    push_to_talk = options.get("push_to_talk")
    return llm.RealtimeCapabilities(
        message_truncation=False,
        turn_detection=push_to_talk is not True,
        can_disable_turn_detection=push_to_talk is None,
        # Phonic itself can stop audio only if it sends it at the pace of speech.
        supports_overlapping_speech=options.get("stream_ahead_of_real_time") is False,
        user_transcription=True,
        auto_tool_reply_generation=True,
        audio_output=True,
        # An AgentTask may be awaited in a tool: the reset's history has the call, and its output is
        # told once it comes. LiveKit 1.8 asks for nothing else of this capability.
        manual_function_calls=True,
        mutable_chat_context=True,
        mutable_instructions=True,
        mutable_tools=True,
        per_response_tool_choice=False,
        supports_say=True,
    )


def _checked_connecting(conn_options: object) -> APIConnectOptions:
    if not isinstance(conn_options, APIConnectOptions):
        raise ValueError(f"conn_options must be APIConnectOptions, got {conn_options!r}")
    if type(conn_options.max_retry) is not int:
        raise ValueError(
            f"conn_options.max_retry must be an integer, got {conn_options.max_retry!r}"
        )
    for name in ("retry_interval", "timeout"):
        seconds = getattr(conn_options, name)
        if not math.isfinite(seconds):
            raise ValueError(f"conn_options.{name} must be finite (s), got {seconds!r}")
    return conn_options


def _job_and_room() -> tuple[str, str]:
    """The id of LiveKit's job and the name of its room; empty outside of a job."""
    context = get_job_context(required=False)
    return (context.job.id, context.job.room.name) if context is not None else ("", "")


def _names(option: str, names: object) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise ValueError(f"{option} must be a list of names, got {names!r}")
    for name in names:
        if not (isinstance(name, str) and name):
            raise ValueError(f"{option} must be a list of names, got {name!r} in it")
    return tuple(names)
