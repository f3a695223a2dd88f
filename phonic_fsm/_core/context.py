"""What a session remembers beside its state. Statecharts call it the extended state.

Guards read it, and actions write it. It holds plain values only: no channel, future, socket or
clock. Nothing in it follows from something else that is remembered.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from .._wire.client import ClientMessage, GenerateReply, Mute, Say
from .._wire.config import ConfigOptions, InlineTool
from .._wire.facts import Id, Measured, Private, Public
from .effects import Effect, EmitError
from .history import FunctionCall, FunctionCallOutput, History, Message
from .states import CONVERSING, State


class Settings(Struct, frozen=True, kw_only=True):
    """What a session is made with: the model's options, copied. No key, no address.

    A trace's header carries it, so that a replay starts from the same place.
    """

    id_seed: Id[str]
    """Every id that the session makes is counted from it."""
    config: ConfigOptions = ConfigOptions()
    """All of the config but the prompt and our own tools; its tools are those that Phonic has."""
    max_retries: Public[int] = 3
    retry_interval: Public[float] = 2.0
    """Seconds; the longest pause between two attempts to connect."""
    answer_timeout: Public[float] = 10.0
    """Seconds from the config, or the socket for a resume, until the server must be ready."""
    reply_timeout: Public[float] = 10.0
    """Seconds from a request for a reply until it must have begun."""
    turn_timeout: Public[float] = 10.0
    """Seconds in which more of a turn, or its end, must come once all of it can have been heard."""
    unmute_prebuffer_ms: Public[int] = 1000
    """Push-to-talk: how much of the caller's audio from before ``unmute`` is sent after it."""


GenerationPhase = Literal["due", "awaited", "begun", "filled", "quiet", "overlapped"]
"""How far the open generation is.

``due``
    An answer to tools' outputs is due. LiveKit has not been told of its generation: it hears of it
    once Phonic has taken the outputs, or begins the answer, or gives none.
``awaited``
    Phonic has taken the outputs, and the assistant has not begun the answer.
``begun``
    The assistant has begun; no text and no audio has come yet.
``filled``
    Text or audio has been pushed into it.
``quiet``
    It was filled, and nothing has come since it was last looked at.
``overlapped``
    The caller has spoken over it, and no words have come since.
"""


class Generation(Struct):
    """The assistant's turn as LiveKit sees it: one message, its text so far."""

    response_id: str
    phase: GenerationPhase = "begun"
    text: Private[str] = ""
    length: int = 0
    """Of its text so far (characters): the sum of its chunks' public lengths."""
    seconds: float = 0.0
    """Of audio, so far."""
    seconds_seen: float = 0.0
    """Of audio, when it was last looked at."""
    after: str | None = None
    """The chat item behind which its message belongs, once the caller has spoken over it.

    It is empty if the message belongs first, and ``None`` if it belongs last.
    """


class Unclaimed(Struct):
    """An answer to the caller of which LiveKit knows nothing yet (push-to-talk)."""

    response_id: str
    items: list[Message | FunctionCall] = field(default_factory=list)
    """What it holds, once it has ended. They go into the history when LiveKit is told."""


class CallerTurn(Struct, tag="caller_turn", tag_field="type"):
    """A turn of the caller, from its first sound until its transcript comes.

    The answer to it may have begun by then, or be over, and so may the caller's next turn.
    """

    after: str
    """The chat item behind which its words belong; empty if they belong first."""
    announced: bool = True
    """Whether Phonic has said that it hears it. Of a turn that LiveKit has committed
    (push-to-talk), it may say so afterwards, or never."""
    turns_since: int = 0
    """How many turns of the caller have begun since."""
    forgotten: bool = False
    """Whether a reset has had Phonic forget it, before the history had its words."""


ReplyPhase = Literal["incomplete", "waiting", "asked"]
"""How far a reply is.

``incomplete``
    It is to say a text of which more is to come.
``waiting``
    It waits for the moment to ask for it. That has come once the conversation is open, no turn of
    the assistant is under way, and the opening is over. The service drops a request during a turn,
    or cuts that turn off.
``asked``
    An answer is to come: the server was asked for it, or gives it to the caller anyway.
"""

Opening = Literal["over", "awaited"]
"""Whether the assistant may be about to speak without being asked: to welcome the caller, or to go
on with what a lost connection has cut off. What is asked for meanwhile could not be told from it.
"""


class Reply(Struct):
    """A reply that somebody wants and that the assistant has not begun."""

    request_id: str | None
    """Of the call of LiveKit's that asked for it; ``None`` if it is owed to the caller alone."""
    message: GenerateReply | Say | Mute
    """What asks the server for it."""
    phase: ReplyPhase = "waiting"


CallPhase = Literal["pending", "answered", "repeated", "over"]
"""How far a tool call is.

``pending``
    Its output is awaited.
``answered``
    Its output was given, and Phonic has not taken note of it: it was sent, or is held.
``repeated``
    Its output was sent again after a resume. If Phonic refuses it, it may know it already.
``over``
    Phonic knows its output in another way, but may still complain of one that it was sent.
"""


class Call(Struct):
    """A tool call that Phonic may still say something of."""

    name: str
    phase: CallPhase = "pending"
    output: FunctionCallOutput | None = None
    """Once it was given."""


Wait = Literal["first_half", "second_half"]
"""How much of its time to begin an answer has had: after the first half it is asked for again,
after the second it is given up."""

Leftover = Literal["none", "interrupted", "reset"]
"""What may still come of a turn that is over on this side, and is dropped.

``interrupted``
    The turn was interrupted here, and the server has yet to say that it is over.
``reset``
    A reset cuts the turn off, and chunks of it may be on their way still.
"""

ConnectionPhase = Literal["proved", "resumed", "taken_over", "begun_afresh"]
"""What the present connection, or the next one, has shown. One that only opens shows nothing.

``proved``
    A whole turn of somebody came over it; the first connection is trusted at once.
``resumed``
    A lost conversation is resumed on it, and no whole turn has come since.
``taken_over``
    The same, but the process that had the conversation is gone, and this one goes on with it.
``begun_afresh``
    What a lost conversation was about goes on in a fresh one, and no whole turn has come since.
"""

Microphone = Literal["unmuted", "muted"]
"""Whether Phonic hears the caller. It does, except in push-to-talk before ``unmute`` and after
``mute``; the newest of the caller's audio is kept meanwhile."""

PromptUpdates = Literal["usable", "sent", "refused"]
"""Whether Phonic takes ``update_system_prompt``, which is deprecated.

``usable``
    Nothing is known against it.
``sent``
    It was sent, and what it said has not been said in another way since.
``refused``
    Phonic has complained of it: instructions go out as a system message.
"""

Arrival = Literal["over", "awaited", "trusted"]
"""Whether LiveKit's agent is still to come, in a process that has taken the session over. It brings
the history along; that is no handoff.

``trusted``
    It is still to come, and nothing is known of the session. So its instructions and tools are
    taken for those that Phonic has.
"""

Change = Literal["instructions", "tools", "config", "history", "caller_turn", "past"]
"""What was changed. The past is what Phonic remembers: messages were changed or taken out. Only a
reset can tell it, and for that alone nobody is cut off: it waits until the conversation rests."""


class Context(Struct, kw_only=True):
    """One session's memory. ``effects`` collects what the present step puts out."""

    settings: Settings
    state: State = State.connecting
    why_over: Private[str] = ""
    """Why the conversation is over, while the assistant's last words are played."""
    effects: list[Effect] = field(default_factory=list)
    ids: int = 0
    """How many ids were made."""

    conversation_id: str | None = None
    continuing: bool = False
    """A conversation that was under way goes on in a fresh one: no second welcome."""
    connection: ConnectionPhase = "proved"
    attempts: int = 0
    """Attempts to connect that failed since a connection was last proved, or a new conversation was
    ready. A connection that was lost before it was proved has failed, too."""
    refusals: int = 0
    """How often Phonic, being busy, has turned this call away since the call was connected."""
    chance: Measured[float] = 0.0
    """The random number that came with the last of these refusals."""
    complaint: EmitError | None = None
    """Phonic's last error, until a whole turn has come: a close before that is its consequence. It
    is recoverable as a lost connection is if what it refuses was said in another way."""
    held: list[ClientMessage] = field(default_factory=list)
    """Control messages that wait for the server to be ready, in order."""
    microphone: Microphone = "unmuted"

    config: ConfigOptions
    """All of the config but the prompt and our own tools, as it is now."""
    instructions: str | None = None
    tools: tuple[InlineTool, ...] | None = None
    offered: tuple[str, ...] | None = None
    """The names of those of the tools that Phonic may call now; ``None`` for all of them."""
    changes: set[Change] = field(default_factory=set)
    """What was changed since the server was last told."""
    history: History = field(default_factory=History)
    carried: Private[str] = ""
    """The history in the prompt that the server has: a new prompt must carry it again."""
    prompt_updates: PromptUpdates = "usable"

    generation: Generation | None = None
    caller_speaks: bool = False
    caller_turns: list[CallerTurn] = field(default_factory=list)
    """The caller's turns whose transcripts are to come, the oldest first."""
    last_transcript_id: str | None = None
    """The caller's last words, as long as they may be taken back: until an answer begins."""
    leftover: Leftover = "none"
    last_message_id: str | None = None
    """The assistant's last message. Audio is streamed ahead of playback, so the caller may cut it
    off after its turn has ended; what was really spoken of it comes then."""

    calls: dict[str, Call] = field(default_factory=dict)
    """Tool calls by their ids, the oldest first. An output for any other is told in words."""
    arrival: Arrival = "over"
    repeats: list[str] = field(default_factory=list)
    """Calls, by their ids, that another process was running when it died, and that are made again:
    once the agent is there, the conversation is open, and no generation is."""

    opening: Opening = "over"
    unclaimed: Unclaimed | None = None
    """The answer to the caller that waits for LiveKit to commit the turn and to ask for it."""
    told_unasked: bool = False
    """Whether LiveKit is told of the answer to the caller's last turn though it has not asked for
    it in time. Its request may still come, and is for that answer."""
    reply: Reply | None = None
    wait: Wait = "second_half"
    """For the reply, or for the answer that the open generation awaits."""
    typed: dict[str, str] = field(default_factory=dict)
    """What the user typed, by the message's id, until it is sent with a request for a reply."""
    typed_sent: Private[list[str]] = field(default_factory=list)
    """What the user typed and was sent a moment ago. Phonic may repeat it as if the caller had said
    it."""

    @property
    def conversing(self) -> bool:
        """Whether the server is ready, so that messages and the caller's audio can go out."""
        return self.state in CONVERSING

    def calls_in(self, phase: CallPhase) -> dict[str, Call]:
        """The tool calls in this phase, by their ids."""
        return {call_id: call for call_id, call in self.calls.items() if call.phase == phase}

    @property
    def push_to_talk(self) -> bool:
        """Whether LiveKit, and not Phonic, says when the caller's turn begins and ends."""
        return self.config.push_to_talk is True

    @property
    def caller_has_the_floor(self) -> bool:
        """Whether LiveKit has yet to say that the caller's turn is over (push-to-talk)."""
        return self.conversing and self.caller_holds_the_button

    @property
    def caller_holds_the_button(self) -> bool:
        """The same, also while the conversation is not open. Nobody is asked to speak meanwhile."""
        return self.push_to_talk and self.microphone == "unmuted"

    @property
    def rests(self) -> bool:
        """Whether nobody speaks, and nobody waits for an answer."""
        return (
            self.state is State.ready
            and self.opening == "over"
            and self.reply is None
            and self.unclaimed is None
            and not self.typed
            and not self.caller_has_the_floor
            and not self.history.awaits_answer()
        )

    def next_id(self, prefix: str) -> str:
        self.ids += 1
        return f"{prefix}{self.settings.id_seed}{self.ids:04d}"

    def put(self, *effects: Effect) -> None:
        self.effects.extend(effects)
