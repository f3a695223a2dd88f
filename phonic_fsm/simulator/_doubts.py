"""The open questions about Phonic's service: what its public sources leave open or contradict.

``Doubts`` has a field for each question. The field's type lists the variants that the simulator
can play, its default is the one that it plays unless it is told otherwise, and its annotation says
what is asked, why it is open, and what the package does whatever the answer is. The command's help
and the page about the protocol are made from these fields. What follows from a variant is decided
where the behaviour is.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct


class DoubtError(ValueError):
    """A doubt or a variant has a name that does not exist. The message lists those that do."""

    __module__ = "phonic_fsm.simulator"


@dataclass(frozen=True)
class Doubt:
    """One open question."""

    name: str
    variants: tuple[str, ...]
    """The default comes first."""
    question: str
    source: str
    """What public sources say about it."""
    handled: str
    """What a session does, so that it is right with every variant."""

    @property
    def default(self) -> str:
        """The variant that is played unless another is asked for."""
        return self.variants[0]


def _asked(question: str, *, source: str, handled: str) -> Any:
    return Meta(description=question, extra={"source": source, "handled": handled})


class Doubts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The variant of each open question that the simulator plays."""

    opening: Annotated[
        Literal["created_first", "ready_first"],
        _asked(
            "Does `conversation_created` come before `ready_to_start_conversation`?",
            source="The published protocol gives no order.",
            handled="The session takes the id whenever it comes.",
        ),
    ] = "created_first"
    null_welcome: Annotated[
        Literal["silences", "keeps_agents"],
        _asked(
            "Does `welcome_message: null` silence the welcome of the agent that the config names?",
            source="The protocol allows null; the SDK leaves a field that is None out.",
            handled=(
                "A fresh conversation and a `reset` send null. If a welcome comes all the same, it "
                "is a turn of the assistant like any other."
            ),
        ),
    ] = "silences"
    push_to_talk_begins: Annotated[
        Literal["muted", "listening"],
        _asked(
            "With push-to-talk, is the caller muted at first?",
            source="Nothing public says so; `unmute` “turns on listening”.",
            handled=(
                "The session sends silence until it has sent `unmute`, so it makes no difference "
                "to what Phonic hears."
            ),
        ),
    ] = "muted"
    unmute_starts_speech: Annotated[
        Literal["no", "yes"],
        _asked(
            "Does `unmute` bring `user_started_speaking`, or only speech that is heard?",
            source="Nothing public says so.",
            handled=(
                "The caller's speech begins with the first of `user_started_speaking` that comes."
            ),
        ),
    ] = "no"
    push_to_talk_pauses: Annotated[
        Literal["end_turns", "are_ignored"],
        _asked(
            "With push-to-talk, does a pause end the caller's turn, or only `mute`?",
            source=(
                "The protocol says that `mute` “starts assistant reply”, not that nothing else "
                "does."
            ),
            handled=(
                "An answer that Phonic begins at a pause waits, unknown to LiveKit, until the "
                "turn is committed: then it is the reply. If the caller speaks on, it is "
                "dropped. If none has begun, `mute` brings it."
            ),
        ),
    ] = "end_turns"
    transcript: Annotated[
        Literal["before_answer", "after_answer_begins"],
        _asked(
            "Does `input_text` come before the answer to it, or once the answer has begun?",
            source="The published protocol gives no order; users of the service report both.",
            handled=(
                "The caller's words stand before the answer to them in the chat context, whichever "
                "comes first."
            ),
        ),
    ] = "before_answer"
    interrupted_response: Annotated[
        Literal["at_once", "after_the_turn", "never"],
        _asked(
            "When the caller interrupts, does `interrupted_response` come at once, after "
            "`user_finished_speaking`, or not at all?",
            source=(
                "The SDK has the message and no order; a former README of the SDK for Node places "
                "it after `user_finished_speaking`; the published protocol lacks it."
            ),
            handled=(
                "The interrupted message is corrected whenever the words come. Without them it "
                "keeps what LiveKit says was played."
            ),
        ),
    ] = "at_once"
    interrupted_turn_finishes: Annotated[
        Literal["no", "yes"],
        _asked(
            "Does `assistant_finished_speaking` come after an interruption?",
            source="The protocol says: “Not sent if interrupted by `user_started_speaking`.”",
            handled="The answer ends with the interruption. An end that comes later is ignored.",
        ),
    ] = "no"
    user_message: Annotated[
        Literal["echoed", "silent"],
        _asked(
            "Does the `user_message` of `generate_reply` come back as `input_text`?",
            source="A public client of the service expects it to; the protocol is silent.",
            handled="A transcript that repeats what was typed is not added once more.",
        ),
    ] = "echoed"
    request_in_turn: Annotated[
        Literal["cuts_in", "waits", "is_dropped"],
        _asked(
            "What does `generate_reply` or `say` do while the assistant speaks and can be "
            "interrupted?",
            source=(
                "Nothing public says so. In a turn that cannot be interrupted `generate_reply` is "
                "dropped, as a public client reports."
            ),
            handled=(
                "A request waits until the running turn is over, whichever way it ends. After "
                "`interrupt()` it is sent at once, and once more if the reply does not begin "
                "soon."
            ),
        ),
    ] = "cuts_in"
    async_output: Annotated[
        Literal["at_once", "next_turn"],
        _asked(
            "Is the output of an async tool without `wait_for_response` spoken about at once, "
            "or on the caller's next turn?",
            source="A public client reports the latter; the protocol is silent.",
            handled="The answer opens a generation whenever it comes. Nothing waits for it.",
        ),
    ] = "at_once"
    reset_turn: Annotated[
        Literal["ends_silently", "finishes"],
        _asked(
            "Does a `reset` bring `assistant_finished_speaking` for the turn that it cuts off?",
            source="Nothing public says so.",
            handled="The turn is closed when the `reset` is sent, whether or not Phonic says so.",
        ),
    ] = "ends_silently"
    reset_chunks: Annotated[
        Literal["stop", "arrive"],
        _asked(
            "Do chunks that were on their way at a `reset` still arrive after it?",
            source="Nothing public says so; on a network some always do.",
            handled="What still comes of the turn is dropped, up to its end, the next turn or 3 s.",
        ),
    ] = "stop"
    reset_calls: Annotated[
        Literal["forgotten", "kept"],
        _asked(
            "Does a `reset` forget the tool calls whose output has not come?",
            source="The protocol says that it clears “the agent's conversation memory”.",
            handled=(
                "Before the `reset`, a pending call gets a placeholder as its output. The real "
                "one is told in words, and an answer to it is asked for."
            ),
        ),
    ] = "forgotten"
    reset_mute: Annotated[
        Literal["as_at_first", "kept"],
        _asked(
            "After a `reset` with push-to-talk, is the caller muted or not as at the "
            "beginning, or as before the reset?",
            source="Nothing public says so.",
            handled=(
                "The session takes the caller for muted then, and sends silence until `unmute`."
            ),
        ),
    ] = "as_at_first"
    reset_welcome: Annotated[
        Literal["is_silent", "is_said"],
        _asked(
            "Does a `reset` bring the welcome that its config, or the agent that it names, asks "
            "for?",
            source="The protocol says “soft-reset” and “mid-stream”, and nothing of a welcome.",
            handled=(
                "A `reset` asks for none: `welcome_message` is null, and "
                "`generate_welcome_message` false."
            ),
        ),
    ] = "is_silent"
    update_system_prompt: Annotated[
        Literal["taken", "warned", "refused"],
        _asked(
            "Is `update_system_prompt`, which is deprecated, still taken?",
            source="The protocol recommends `add_system_message` and gives no date.",
            handled=(
                "If it is refused, the instructions go by `add_system_message`, and so do later "
                "ones."
            ),
        ),
    ] = "taken"
    error: Annotated[
        Literal["leaves_open", "closes"],
        _asked(
            "Does an `error` after the start close the connection (1011)?",
            source=(
                "The protocol calls only a `warning` non-fatal, has errors that refuse a single "
                "chunk, and lists no codes."
            ),
            handled="The session tells the error and goes on. If a close comes before anything is "
            "said, the call ends with the error as its reason. If the session has already said in "
            "another way what Phonic refuses (instructions, an output), it goes on afresh.",
        ),
    ] = "leaves_open"
    audio_bursts: Annotated[
        Literal["taken", "refused"],
        _asked(
            "Is audio refused that comes at more than three times its pace?",
            source="Nothing public says so.",
            handled="Audio that was kept is sent at no more than twice its pace.",
        ),
    ] = "taken"
    idle_close: Annotated[
        Literal["4000", "1000", "1001", "1011", "drop"],
        _asked(
            "With which code does the connection close after `websocket_timeout_sec`, or is it "
            "cut without one?",
            source=(
                "The protocol says that it is closed, and not how; the SDK names 4000 among the "
                "intentional closes."
            ),
            handled=(
                "The stream of audio never stops, so it does not come to that. A close without a "
                "code is a lost connection, one with a code is the end of the conversation."
            ),
        ),
    ] = "4000"
    longest_session: Annotated[
        Literal["unlimited", "an_hour"],
        _asked(
            "Does a conversation end after an hour (close code 1000)?",
            source="Nothing public says so.",
            handled="It is the end of the conversation, and announced as such.",
        ),
    ] = "unlimited"
    early_resume: Annotated[
        Literal["taken", "refused_once", "refused"],
        _asked(
            "What if a conversation is resumed before the service has noticed the loss: is it "
            "taken, or refused (4801) at first, or for good?",
            source="The SDK's reconnecting socket gives up at 4801, “invalid state”.",
            handled=(
                "Where Phonic refuses, a fresh conversation goes on with the history. If the "
                "process of the call has died, the resume is tried again first."
            ),
        ),
    ] = "taken"
    resumed_turn: Annotated[
        Literal["is_lost", "goes_on"],
        _asked(
            "After a resume, does the service go on with the turn that the loss cut off?",
            source="Nothing public says so.",
            handled=(
                "The session waits 2 s for the answer to go on, and then asks for it. If the "
                "process of the call has died, it asks at once."
            ),
        ),
    ] = "is_lost"
    repeated_output: Annotated[
        Literal["refused", "acknowledged"],
        _asked(
            "Is a `tool_call_output` that was taken already, and is sent again after a resume, "
            "refused or acknowledged again?",
            source="Nothing public says so.",
            handled="Both count as an acknowledgement.",
        ),
    ] = "refused"
    closed_by_client: Annotated[
        Literal["is_over", "can_be_resumed"],
        _asked(
            "Can a conversation be resumed that the client has closed (1000)?",
            source="Nothing public says so.",
            handled="The session closes a conversation only when it gives it up.",
        ),
    ] = "is_over"

    @classmethod
    def read(cls, choices: Iterable[str], base: Doubts | None = None) -> Doubts:
        """``base`` (by default all defaults) with these ``choices``, each ``NAME=VARIANT``.

        ``all=other`` stands for the second variant of every doubt. Later choices win.

        Raises:
            DoubtError: a name or a variant does not exist.
        """
        chosen: dict[str, str] = msgspec.structs.asdict(base or cls())
        for choice in choices:
            name, _, variant = choice.partition("=")
            if choice == "all=other":
                chosen |= {doubt.name: doubt.variants[1] for doubt in DOUBTS}
                continue
            doubt = _BY_NAME.get(name)
            if doubt is None:
                names = ", ".join(_BY_NAME)
                raise DoubtError(f"no doubt is named {name!r}; there are {names}, and all=other")
            if variant not in doubt.variants:
                raise DoubtError(f"{name} is one of {', '.join(doubt.variants)}, not {variant!r}")
            chosen[name] = variant
        return msgspec.convert(chosen, cls)

    @classmethod
    def each_variant(cls) -> Iterator[Doubts]:
        """Every variant that is not a default, each with the defaults of all other doubts."""
        for doubt in DOUBTS:
            for variant in doubt.variants[1:]:
                yield cls.read([f"{doubt.name}={variant}"])

    @classmethod
    def at_random(cls, seed: int) -> Doubts:
        """A variant of every doubt; the same seed gives the same ones."""
        draw = random.Random(seed)
        return cls.read(f"{doubt.name}={draw.choice(doubt.variants)}" for doubt in DOUBTS)

    def differences(self) -> tuple[str, ...]:
        """``NAME=VARIANT`` for every variant that is not the default."""
        chosen = [(doubt, str(getattr(self, doubt.name))) for doubt in DOUBTS]
        return tuple(f"{doubt.name}={v}" for doubt, v in chosen if v != doubt.default)


def _described() -> Iterator[Doubt]:
    for name, hint in get_type_hints(Doubts, include_extras=True).items():
        variants, (about,) = get_args(hint.__origin__), hint.__metadata__
        yield Doubt(name, variants, about.description, **about.extra)


DOUBTS = tuple(_described())
"""Every open question, in the order of a call."""

_BY_NAME = {doubt.name: doubt for doubt in DOUBTS}
