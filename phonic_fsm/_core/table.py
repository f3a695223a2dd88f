"""Every state × event pair: what the machine does, or why it does nothing.

Read it event by event. The rows of an event are tried from the top; the first whose source is
the present state and whose guards all say yes is taken. A row either *moves* to another state,
*stays* (the state is not left), *chooses* (its actions are done, and then the state follows from
what is remembered) or *ignores* the event and says why. ``transitions`` gets exactly these rows;
the totality test and the diagram read them too. To add a message or a transition, add rows here,
and the guards and actions that they name; an action's module is its subject.

The rules of the two choices stand in ``actions.choices``. In an open conversation the state is
``speaking`` while a generation is open, else ``listening`` while the caller speaks, else
``tool_pending`` while a tool's output is awaited, else ``ready``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

from .._wire import codec, server
from . import events
from . import guards as when
from .actions import (
    assistant,
    caller,
    choices,
    connection,
    ending,
    push_to_talk,
    replies,
    settings,
    takeover,
    tools,
)
from .context import Context
from .events import name_of
from .states import ALL, CONVERSING, State, others

Guard = Callable[[Context, Any], bool]
Action = Callable[[Context, Any], None]
States = State | tuple[State, ...]

connecting, awaiting_inputs, config_sent = (
    State.connecting,
    State.awaiting_inputs,
    State.config_sent,
)
ready, listening, speaking, tool_pending = CONVERSING
reconnecting, last_words, closed = State.reconnecting, State.last_words, State.closed

SILENT = (ready, listening, tool_pending)
"""The conversation is open, and no generation is."""

SERVED = (config_sent, *CONVERSING)
"""The config was sent on this connection."""

TOLD_OF_CALLS = (config_sent, ready, listening, speaking)
"""Where a tool call may end without an effect on the state."""

NOT_OPEN = (connecting, awaiting_inputs, config_sent, reconnecting)
"""The conversation is not open: it is about to begin, or is lost and about to go on."""

ENDED = (last_words, closed)
"""The conversation is over."""


class Branch(NamedTuple):
    """One way out of a choice. The first one whose question is true is taken."""

    question: str
    target: State


@dataclass(frozen=True, slots=True)
class Choice:
    """A rule by which the next state follows from what is remembered, in words."""

    name: str
    branches: tuple[Branch, ...]


CHOICES: dict[Action, Choice] = {
    choices.settle: Choice(
        "settle",
        (
            Branch("a generation is open", speaking),
            Branch("the caller speaks", listening),
            Branch("a tool's output is awaited", tool_pending),
            Branch("otherwise", ready),
        ),
    ),
    choices.configure: Choice(
        "configure",
        (
            Branch("instructions and tools have been given", config_sent),
            Branch("otherwise", awaiting_inputs),
        ),
    ),
}
"""Every choice, by the action that carries it out."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. Without a target the state stays, or is what the choice makes it."""

    event: str
    sources: tuple[State, ...]
    target: State | None = None
    guards: tuple[Guard, ...] = ()
    actions: tuple[Action, ...] = ()
    because: str = ""
    """Set where the event is ignored: the reason."""

    @property
    def choice(self) -> Choice | None:
        """The choice that its last action makes, if it makes one."""
        return CHOICES.get(self.actions[-1]) if self.actions else None

    @property
    def targets(self) -> tuple[State, ...]:
        """The states that it may lead to; none if it does not move."""
        if self.choice is not None:
            return tuple(branch.target for branch in self.choice.branches)
        return (self.target,) if self.target is not None else ()


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


class _On:
    """Writes the rows of one event."""

    def __init__(self, event: type[Any]) -> None:
        self.event = name_of(event)
        self.rows: list[Row] = []

    def move(self, sources: States, target: State, *actions: Action, when: Any = ()) -> _On:
        self.rows.append(Row(self.event, _tuple(sources), target, _tuple(when), actions))
        return self

    def stay(self, sources: States, *actions: Action, when: Any = ()) -> _On:
        self.rows.append(Row(self.event, _tuple(sources), None, _tuple(when), actions))
        return self

    def settle(self, sources: States, *actions: Action, when: Any = ()) -> _On:
        """Do the actions; then ``choices.settle`` chooses the state."""
        return self.stay(sources, *actions, choices.settle, when=when)

    def configure(self, sources: States, *actions: Action, when: Any = ()) -> _On:
        """Do the actions; then ``choices.configure`` sends the config, if nothing is missing."""
        return self.stay(sources, *actions, choices.configure, when=when)

    def ignore(self, sources: States, because: str, *, when: Any = ()) -> _On:
        self.rows.append(Row(self.event, _tuple(sources), guards=_tuple(when), because=because))
        return self

    def ignore_outside(self) -> _On:
        """Ignored wherever no conversation is under way that the server could speak of."""
        self.ignore((connecting, closed), NO_SOCKET)
        return self.ignore(awaiting_inputs, NOT_CONFIGURED)

    def ignore_unheard(self) -> _On:
        """Ignored wherever the server cannot have heard the caller."""
        self.ignore((connecting, closed), NO_SOCKET)
        return self.ignore((awaiting_inputs, config_sent), UNHEARD)


NO_SOCKET = "no socket is open in this state"
NOT_CONFIGURED = "the server has no config yet and says nothing about a conversation"
RESUMED_OTHERWISE = "it begins a new conversation; a lost one that goes on never sends it"
OVER = "the session is over"
OBSERVED = "it is recorded, and decides nothing"
NOTHING_FOLLOWS = "the conversation is over"
UNHEARD = "no audio of the caller has been sent yet"
NO_TURN = "no turn of the assistant is open"
ALREADY = "the server has said so before"


def _connection() -> Iterator[_On]:
    yield (
        _On(events.Open)
        .stay(connecting, connection.connect)
        .ignore(others(connecting), "a session is opened once")
    )
    yield (
        _On(events.ConnectionOpened)
        .configure(connecting, connection.report_connection)
        .stay(reconnecting, connection.report_connection, connection.await_answer)
        .ignore(others(connecting, reconnecting), "nothing is being connected")
    )
    yield (
        _On(events.ConnectFailed)
        .stay((connecting, reconnecting), connection.wait_for_room, when=when.may_wait_for_room)
        .stay((connecting, reconnecting), connection.retry_later, when=when.may_connect_again)
        .move(connecting, closed, ending.fail_to_connect)
        .move(reconnecting, connecting, connection.start_afresh, when=when.a_fresh_start_may_help)
        .move(reconnecting, closed, ending.announce_loss)
        .ignore(others(connecting, reconnecting), "nothing is being connected")
    )
    yield (
        _On(events.ConnectionClosed)
        .move(
            (awaiting_inputs, config_sent),
            connecting,
            connection.leave_it_to_the_config,
            connection.retry_later,
            when=when.may_connect_again,
        )
        .move((awaiting_inputs, config_sent), closed, ending.fail_to_connect)
        .move(
            CONVERSING,
            reconnecting,
            connection.hold_everything,
            connection.resume_at_once,
            when=(when.can_be_resumed, when.connection_has_served),
        )
        .move(
            CONVERSING,
            reconnecting,
            connection.hold_everything,
            connection.resume_after_a_pause,
            when=(when.can_be_resumed, when.may_connect_again),
        )
        .move(
            CONVERSING,
            connecting,
            connection.give_up_resuming,
            connection.start_afresh,
            when=(when.was_not_deliberate, when.may_begin_afresh),
        )
        .move(CONVERSING, closed, ending.announce_loss, when=when.was_not_deliberate)
        .move(
            CONVERSING,
            connecting,
            connection.give_up_resuming,
            connection.start_afresh,
            when=(when.amends_were_made, when.may_begin_afresh),
        )
        .move(CONVERSING, closed, ending.announce_consequence, when=when.phonic_has_complained)
        .move(
            CONVERSING,
            last_words,
            ending.note_end,
            ending.stop_listening,
            assistant.cut_off_turn,
            ending.ask_playback,
        )
        .stay(last_words, ending.stop_listening, assistant.finish_turn)
        .stay(reconnecting, connection.retry_later, when=when.may_connect_again)
        .stay(reconnecting, connection.retry_later, when=when.former_socket_may_live)
        .move(reconnecting, connecting, connection.start_afresh, when=when.may_begin_afresh)
        .move(reconnecting, closed, ending.announce_loss)
        .ignore((connecting, closed), NO_SOCKET)
    )
    yield (
        _On(events.RetryDue)
        .stay(connecting, connection.connect)
        .stay(reconnecting, connection.resume)
        .ignore(others(connecting, reconnecting), "nothing is being connected")
    )
    yield (
        _On(events.AnswerOverdue)
        .move(
            config_sent,
            connecting,
            connection.leave_it_to_the_config,
            connection.retry_at_once,
            when=when.an_attempt_is_left,
        )
        .move(config_sent, closed, ending.fail_to_connect)
        .move(reconnecting, connecting, connection.start_afresh, when=when.may_begin_afresh)
        .move(reconnecting, closed, ending.announce_loss)
        .ignore(others(config_sent, reconnecting), "no answer is awaited")
    )
    yield (
        _On(events.GraceOver)
        .move(reconnecting, connecting, connection.start_afresh, when=when.may_begin_afresh)
        .move(reconnecting, closed, ending.announce_loss)
        .ignore(others(reconnecting), "no conversation is being resumed")
    )
    yield (
        _On(events.Restart)
        .move((*SERVED, reconnecting), connecting, connection.restart)
        .ignore((connecting, awaiting_inputs), "a fresh conversation is about to begin")
        .ignore(ENDED, NOTHING_FOLLOWS)
    )
    yield (
        _On(events.StateOverdue)
        .stay(others(closed), connection.name_overdue_state)
        .ignore(closed, OVER)
    )
    yield (
        _On(server.ConversationCreated)
        .stay(SERVED, connection.note_conversation)
        .ignore(last_words, NOTHING_FOLLOWS)
        .ignore(reconnecting, RESUMED_OTHERWISE)
        .ignore_outside()
    )
    yield (
        _On(server.ReadyToStartConversation)
        .move(config_sent, ready, connection.become_ready)
        .ignore((*CONVERSING, last_words), ALREADY)
        .ignore((connecting, closed), NO_SOCKET)
        .ignore(awaiting_inputs, NOT_CONFIGURED)
        .ignore(reconnecting, RESUMED_OTHERWISE)
    )
    yield (
        _On(server.ConversationReconnected)
        .settle(reconnecting, connection.go_on)
        .ignore(others(reconnecting), "no conversation is being resumed")
    )


def _process() -> Iterator[_On]:
    begun = (*CONVERSING, reconnecting)
    not_begun = (connecting, awaiting_inputs, config_sent)
    yield (
        _On(events.TakeOver)
        .move(
            begun,
            reconnecting,
            takeover.take_stock,
            takeover.resume,
            when=when.phonic_still_keeps_it,
        )
        .move(begun, connecting, takeover.take_stock, connection.start_afresh)
        .move(
            not_begun,
            reconnecting,
            takeover.adopt,
            takeover.resume,
            when=when.only_the_conversation_is_known,
        )
        .move(
            not_begun,
            connecting,
            takeover.take_stock,
            takeover.begin_again,
            when=when.a_conversation_was_under_way,
        )
        .move(not_begun, connecting, takeover.begin_again)
        .stay(last_words, assistant.cut_off_turn, ending.stop_listening, ending.await_rest_of_turn)
        .ignore(closed, OVER)
    )
    yield (
        _On(events.LeaseLost)
        .move(others(closed), closed, ending.leave_to_successor)
        .ignore(closed, OVER)
    )
    yield _On(events.Checkpoint).stay(others(closed), takeover.tell_memory).ignore(closed, OVER)


def _settings() -> Iterator[_On]:
    for update in (
        events.UpdateInstructions,
        events.UpdateTools,
        events.UpdateOptions,
        events.UpdateSession,
    ):
        yield (
            _On(update)
            .stay(
                (connecting, config_sent, reconnecting),
                takeover.receive_agent,
                when=when.agent_is_awaited,
            )
            .configure(awaiting_inputs, takeover.receive_agent, when=when.agent_is_awaited)
            .settle(
                CONVERSING,
                takeover.receive_agent,
                settings.cut_off_turns_for_reset,
                settings.tell_soon,
                when=when.agent_is_awaited,
            )
            .stay(
                (connecting, config_sent, reconnecting),
                settings.drop_former_agent,
                settings.note_changes,
                when=when.another_agent_takes_over,
            )
            .stay((connecting, config_sent, reconnecting), settings.note_changes)
            .configure(awaiting_inputs, settings.note_changes)
            .settle(
                CONVERSING,
                settings.cut_off_turns,
                settings.drop_former_agent,
                settings.note_changes,
                settings.tell_soon,
                when=when.another_agent_takes_over,
            )
            .settle(
                CONVERSING,
                settings.note_changes,
                settings.cut_off_turns_for_reset,
                settings.tell_soon,
            )
            .ignore(ENDED, NOTHING_FOLLOWS)
        )
    yield (
        _On(events.UpdateToolChoice)
        .stay((connecting, awaiting_inputs, config_sent, reconnecting), settings.note_tool_choice)
        .settle(
            CONVERSING,
            settings.note_tool_choice,
            settings.cut_off_turns_for_reset,
            settings.tell_soon,
        )
        .ignore(ENDED, NOTHING_FOLLOWS)
    )
    yield (
        _On(events.SetExternalId)
        .stay((*SERVED, reconnecting), settings.set_external_id)
        .stay((connecting, awaiting_inputs), settings.note_external_id)
        .ignore(ENDED, NOTHING_FOLLOWS)
    )
    yield (
        _On(events.ChangesDue)
        .stay(CONVERSING, settings.tell_changes)
        .ignore((connecting, awaiting_inputs), "the config will say it")
        .ignore((config_sent, reconnecting), "the changes go out once the server is ready")
        .ignore(ENDED, NOTHING_FOLLOWS)
    )
    yield (
        _On(events.UpdateChatContext)
        .stay((connecting, awaiting_inputs), tools.note_history)
        .settle(tool_pending, tools.pass_on_outputs)
        .stay(reconnecting, tools.keep_additions)
        .stay((config_sent, ready, listening, speaking), tools.pass_on_additions)
        .ignore(ENDED, NOTHING_FOLLOWS)
    )


def _caller() -> Iterator[_On]:
    yield (
        _On(server.UserStartedSpeaking)
        .ignore(listening, ALREADY)
        .stay(speaking, caller.start_speech_over_assistant, when=when.speech_may_overlap)
        .move((ready, speaking, tool_pending), listening, caller.start_speech)
        .settle(reconnecting, connection.go_on, caller.start_speech)
        .move(last_words, closed, caller.start_speech, ending.announce_end)
        .ignore_unheard()
    )
    yield (
        _On(server.UserFinishedSpeaking)
        .settle(listening, caller.stop_speech)
        .stay(
            speaking,
            caller.stop_speech_over_assistant,
            when=(when.caller_speaks, when.speech_may_overlap),
        )
        .stay(speaking, caller.stop_speech, when=when.caller_speaks)
        .ignore((ready, speaking, tool_pending), "the caller was not speaking")
        .settle(reconnecting, connection.go_on)
        .ignore(last_words, NOTHING_FOLLOWS)
        .ignore_unheard()
    )
    yield (
        _On(server.InputCancelled)
        .settle(listening, caller.cancel_input)
        .stay(speaking, caller.cancel_input, when=when.caller_speaks)
        .stay(
            (ready, speaking, tool_pending, last_words),
            caller.cancel_input,
            when=when.a_turn_may_be_taken_back,
        )
        .ignore((ready, speaking, tool_pending, last_words), "nothing that the caller said is open")
        .settle(reconnecting, connection.go_on, caller.cancel_input)
        .ignore_unheard()
    )
    yield (
        _On(server.InputText)
        .ignore(
            (*CONVERSING, last_words),
            "it repeats what the user typed",
            when=when.repeats_what_was_typed,
        )
        .stay((*CONVERSING, last_words), caller.find_no_words, when=when.nothing_was_understood)
        .stay((*CONVERSING, last_words), caller.add_transcript)
        .settle(reconnecting, connection.go_on, when=when.repeats_what_was_typed)
        .settle(
            reconnecting, connection.go_on, caller.find_no_words, when=when.nothing_was_understood
        )
        .settle(reconnecting, connection.go_on, caller.add_transcript)
        .ignore_unheard()
    )


def _push_to_talk() -> Iterator[_On]:
    yield (
        _On(events.StartUserActivity)
        .settle(speaking, assistant.discard_turn, push_to_talk.unmute, when=when.caller_is_muted)
        .stay(SILENT, push_to_talk.unmute, when=when.caller_is_muted)
        .ignore(CONVERSING, "Phonic listens already")
        .stay(NOT_OPEN, push_to_talk.unmute_when_ready, when=when.caller_is_muted)
        .ignore(NOT_OPEN, "what the caller says is kept already")
        .move(last_words, closed, ending.announce_end)
        .ignore(closed, OVER)
    )
    yield (
        _On(events.CommitAudio)
        .stay(
            (*CONVERSING, reconnecting),
            push_to_talk.mute_answered,
            when=when.caller_is_answered,
        )
        .settle(
            speaking,
            assistant.discard_turn,
            push_to_talk.unmute,
            push_to_talk.commit_audio,
            when=when.caller_is_muted,
        )
        .stay(
            SILENT,
            push_to_talk.unmute,
            push_to_talk.commit_audio,
            when=when.caller_is_muted,
        )
        .stay(
            NOT_OPEN,
            push_to_talk.unmute_when_ready,
            push_to_talk.commit_audio,
            when=when.caller_is_muted,
        )
        .stay((*CONVERSING, *NOT_OPEN), push_to_talk.commit_audio, when=when.push_to_talk)
        .stay((*CONVERSING, *NOT_OPEN), push_to_talk.warn_of_turn_detection)
        .ignore(ENDED, NOTHING_FOLLOWS)
    )
    yield (
        _On(events.AnswerUnclaimed)
        .stay(others(closed), push_to_talk.announce_answer)
        .ignore(closed, OVER)
    )
    yield (
        _On(events.ClearAudio)
        .settle(
            CONVERSING,
            settings.cut_off_turns,
            settings.note_changes,
            settings.tell_soon,
            when=when.caller_was_heard,
        )
        .stay(CONVERSING, push_to_talk.drop_kept_audio, when=when.caller_is_muted)
        .stay(NOT_OPEN, push_to_talk.drop_kept_audio, when=when.push_to_talk)
        .ignore((*CONVERSING, *NOT_OPEN), "Phonic detects the caller's turns itself")
        .ignore(ENDED, NOTHING_FOLLOWS)
    )


def _assistant() -> Iterator[_On]:
    yield (
        _On(server.AssistantStartedSpeaking)
        .ignore(SILENT, "a reset is about to cut this turn off", when=when.a_reset_is_due)
        .move(config_sent, speaking, assistant.open_generation, connection.become_ready)
        .move(SILENT, speaking, assistant.open_generation)
        .stay(speaking, assistant.begin_answer, when=when.generation_is_empty)
        .stay((speaking, last_words), assistant.cut_off_turn, assistant.open_generation)
        .settle(reconnecting, connection.go_on, when=when.a_reset_is_due)
        .settle(reconnecting, assistant.open_generation, connection.go_on)
        .ignore_outside()
    )
    yield (
        _On(server.AudioChunk)
        .stay(speaking, assistant.push_chunk, when=when.turn_may_go_on)
        .settle(speaking, assistant.cut_overlong_turn)
        .ignore(SILENT, "the turn was cut off here", when=when.turn_is_dropped)
        .stay((config_sent, *SILENT), assistant.refuse_chunk, when=when.is_longer_than_a_turn)
        .move(SILENT, speaking, assistant.open_generation, assistant.push_chunk, when=when.has_text)
        .move(
            config_sent,
            speaking,
            assistant.open_generation,
            assistant.push_chunk,
            connection.become_ready,
            when=when.has_text,
        )
        .settle(reconnecting, connection.go_on, when=when.turn_is_dropped)
        .settle(reconnecting, connection.go_on, when=when.a_reset_is_due)
        .settle(
            reconnecting,
            connection.go_on,
            assistant.refuse_chunk,
            when=when.is_longer_than_a_turn,
        )
        .settle(
            reconnecting,
            assistant.open_generation,
            assistant.push_chunk,
            connection.go_on,
            when=when.has_text,
        )
        .settle(reconnecting, connection.go_on)
        .stay(last_words, assistant.push_chunk, when=when.turn_may_go_on)
        .ignore((config_sent, last_words, *SILENT), "silence or background sound: " + NO_TURN)
        .ignore_outside()
    )
    yield (
        _On(server.AssistantFinishedSpeaking)
        .ignore(
            speaking,
            "the turn before has ended: the answer to a tool's output has not begun",
            when=when.answer_has_not_begun,
        )
        .settle(speaking, assistant.finish_turn)
        .stay(SILENT, assistant.forget_leftover, when=when.turn_is_dropped)
        .settle(reconnecting, assistant.forget_leftover, connection.go_on)
        .stay(last_words, assistant.finish_turn)
        .ignore((config_sent, *SILENT), NO_TURN)
        .ignore_outside()
    )
    yield (
        _On(events.TurnOverdue)
        .ignore(
            speaking, "the answer has a time of its own to begin", when=when.answer_has_not_begun
        )
        .stay(speaking, assistant.await_more, when=when.more_has_come)
        .settle(speaking, assistant.cut_off_turn, when=when.assistant_has_yielded)
        .settle(speaking, assistant.cut_stalled_turn)
        .stay((*SILENT, reconnecting), assistant.forget_leftover, when=when.turn_is_dropped)
        .ignore(others(speaking), NO_TURN)
    )
    yield (
        _On(server.InterruptedResponse)
        .settle(speaking, assistant.cut_off_and_correct)
        .stay(last_words, assistant.cut_off_and_correct)
        .stay(SILENT, assistant.correct_interrupted)
        .settle(reconnecting, assistant.correct_interrupted, connection.go_on)
        .ignore(config_sent, NO_TURN)
        .ignore_outside()
    )
    yield (
        _On(server.AssistantChoseNotToRespond)
        .settle(
            speaking,
            assistant.finish_turn,
            replies.end_unanswered_reply,
            when=when.generation_is_empty,
        )
        .ignore(speaking, "the assistant is speaking after all")
        .stay(SILENT, replies.end_unanswered_reply)
        .settle(reconnecting, replies.end_unanswered_reply, connection.go_on)
        .ignore(config_sent, NO_TURN)
        .ignore(last_words, NOTHING_FOLLOWS)
        .ignore_outside()
    )
    yield (
        _On(server.Dtmf)
        .stay((*CONVERSING, last_words), assistant.announce_digits)
        .settle(reconnecting, assistant.announce_digits, connection.go_on)
        .ignore(config_sent, NO_TURN)
        .ignore_outside()
    )
    yield (
        _On(events.AudioNotTaken)
        .stay(others(closed), assistant.name_unheard_answer)
        .ignore(closed, OVER)
    )
    yield (
        _On(events.Interrupt)
        .ignore(
            CONVERSING,
            "LiveKit means another answer: of this, it knows nothing",
            when=when.answer_is_unclaimed,
        )
        .settle(
            speaking,
            assistant.discard_turn,
            replies.supersede_reply,
            push_to_talk.unmute,
            when=when.caller_may_speak,
        )
        .settle(speaking, assistant.discard_turn)
        .stay(SILENT, replies.supersede_reply, push_to_talk.unmute, when=when.caller_may_speak)
        .stay(
            NOT_OPEN,
            replies.supersede_reply,
            push_to_talk.unmute_when_ready,
            when=when.caller_may_speak,
        )
        .move(last_words, closed, ending.announce_end)
        .stay((*SILENT, *NOT_OPEN), replies.supersede_reply, when=when.a_reply_was_requested)
        .ignore(others(speaking, last_words), "nothing is spoken, and no reply was requested")
    )


def _tools() -> Iterator[_On]:
    yield (
        _On(server.ToolCall)
        .ignore(CONVERSING, "the call came before", when=when.is_a_known_call)
        .stay(CONVERSING, tools.take_back_call, when=when.a_reset_is_due)
        .stay(CONVERSING, tools.withhold_tool, when=when.tool_is_withheld)
        .stay(CONVERSING, tools.refuse_call, when=when.calls_are_too_many)
        .settle(
            speaking,
            assistant.cut_off_turn,
            tools.hand_over_call,
            when=when.assistant_has_yielded,
        )
        .settle(CONVERSING, tools.hand_over_call)
        .settle(config_sent, tools.hand_over_call, connection.become_ready)
        .settle(reconnecting, connection.go_on, when=when.is_a_known_call)
        .settle(reconnecting, tools.take_back_call, connection.go_on, when=when.a_reset_is_due)
        .settle(reconnecting, tools.withhold_tool, connection.go_on, when=when.tool_is_withheld)
        .settle(reconnecting, tools.refuse_call, connection.go_on, when=when.calls_are_too_many)
        .settle(reconnecting, tools.hand_over_call, connection.go_on)
        .ignore(last_words, NOTHING_FOLLOWS)
        .ignore_outside()
    )
    yield (
        _On(events.CallsDropped)
        .settle(CONVERSING, tools.decline_dropped_calls)
        .stay((config_sent, reconnecting), tools.decline_dropped_calls)
        .ignore((connecting, awaiting_inputs), NOT_CONFIGURED)
        .ignore(ENDED, NOTHING_FOLLOWS)
    )
    yield (
        _On(server.ToolCallInterrupted)
        .settle(tool_pending, tools.forget_call)
        .settle(reconnecting, tools.forget_call, connection.go_on)
        .stay((*TOLD_OF_CALLS, last_words), tools.forget_call)
        .ignore((connecting, closed), NO_SOCKET)
        .ignore(awaiting_inputs, NOT_CONFIGURED)
    )
    yield (
        _On(server.ToolCallOutputProcessed)
        .settle(tool_pending, tools.acknowledge_output)
        .settle(reconnecting, tools.acknowledge_output, connection.go_on)
        .stay((*TOLD_OF_CALLS, last_words), tools.acknowledge_output)
        .ignore((connecting, closed), NO_SOCKET)
        .ignore(awaiting_inputs, NOT_CONFIGURED)
    )


def _replies() -> Iterator[_On]:
    yield (
        _On(events.GenerateReply)
        .stay(others(*ENDED), push_to_talk.adopt_reply, when=when.claims_the_coming_answer)
        .stay(others(closed), push_to_talk.claim_answer, when=when.claims_the_answer)
        .stay(speaking, push_to_talk.claim_this_answer, when=when.asks_for_a_given_answer)
        .stay(others(*ENDED), push_to_talk.claim_given_answer, when=when.asks_for_a_given_answer)
        .settle(
            speaking, assistant.finish_turn, replies.request_reply, when=when.answer_has_not_begun
        )
        .stay(others(*ENDED), replies.request_reply)
        .stay(ENDED, replies.refuse_reply)
    )
    yield (
        _On(events.Say)
        .settle(
            speaking, assistant.finish_turn, replies.request_say, when=when.answer_has_not_begun
        )
        .stay(others(*ENDED), replies.request_say)
        .stay(ENDED, replies.refuse_reply)
    )
    yield (
        _On(events.SayMore)
        .stay(others(*ENDED), replies.take_more_text, when=when.text_is_awaited)
        .ignore(others(*ENDED), "the reply has ended meanwhile")
        .ignore(ENDED, "every reply has ended")
    )
    yield (
        _On(events.CancelReply)
        .stay(others(*ENDED), replies.withdraw_reply)
        .ignore(ENDED, "every reply has ended")
    )
    yield (
        _On(events.OpeningOverdue)
        .stay(SILENT, replies.ask_after_opening)
        .ignore(others(*SILENT), "the assistant speaks, or no conversation is open")
    )
    yield (
        _On(events.EchoOver)
        .stay(others(closed), replies.forget_typed)
        .ignore(closed, "every reply has ended")
    )
    yield (
        _On(events.ReplyOverdue)
        .stay(
            speaking,
            replies.ask_once_more,
            when=(when.answer_has_not_begun, when.time_is_left),
        )
        .settle(speaking, replies.give_up_answer, when=when.answer_has_not_begun)
        .stay(
            ready,
            replies.ask_once_more,
            when=(when.a_reply_was_asked_for, when.time_is_left),
        )
        .stay(
            others(*ENDED),
            replies.wait_on,
            when=(when.a_reply_is_awaited, when.time_is_left),
        )
        .stay(others(*ENDED), replies.give_up_reply)
        .ignore(ENDED, "every reply has ended")
    )


def _the_end() -> Iterator[_On]:
    yield (
        _On(server.AssistantEndedConversation)
        .move(speaking, last_words, ending.note_end, ending.await_rest_of_turn)
        .move(SILENT, last_words, ending.note_end, ending.ask_playback)
        .move(
            (config_sent, reconnecting),
            last_words,
            ending.note_end,
            ending.stop_connecting,
            ending.ask_playback,
        )
        .ignore(last_words, ALREADY)
        .ignore((connecting, closed), NO_SOCKET)
        .ignore(awaiting_inputs, NOT_CONFIGURED)
    )
    yield (
        _On(events.PlaybackLeft)
        .stay(last_words, ending.let_last_words_be_heard, when=when.something_is_still_played)
        .stay(last_words, ending.await_rest_of_turn, when=when.more_has_come)
        .stay(last_words, ending.let_calls_begin, when=when.calls_are_pending)
        .move(last_words, closed, ending.announce_end)
        .ignore(others(last_words), "it was not asked for")
    )
    yield (
        _On(events.LastWordsOver)
        .stay(last_words, ending.ask_playback)
        .ignore(others(last_words), "no last words are played")
    )
    yield (
        _On(server.Error)
        .move((awaiting_inputs, config_sent), closed, ending.announce_refusal)
        .settle(
            CONVERSING,
            ending.log_refusal,
            settings.replace_prompt_update,
            settings.cut_off_turns_for_reset,
            settings.tell_soon,
            when=when.names_the_prompt_update,
        )
        .stay(
            reconnecting,
            ending.log_error,
            settings.replace_prompt_update,
            when=when.names_the_prompt_update,
        )
        .stay(CONVERSING, tools.replace_output, when=when.refuses_an_output)
        .stay(CONVERSING, ending.announce_error)
        .stay((reconnecting, last_words), ending.log_error)
        .ignore((connecting, closed), NO_SOCKET)
    )
    yield (
        _On(server.Warning)
        .settle(
            CONVERSING,
            ending.log_warning,
            settings.replace_prompt_update,
            settings.cut_off_turns_for_reset,
            settings.tell_soon,
            when=when.names_the_prompt_update,
        )
        .stay(
            reconnecting,
            ending.log_warning,
            settings.replace_prompt_update,
            when=when.names_the_prompt_update,
        )
        .stay(others(connecting, closed), ending.log_warning)
        .ignore((connecting, closed), NO_SOCKET)
    )
    for undecodable in (codec.UnknownMessage, codec.MalformedMessage):
        yield (
            _On(undecodable)
            .stay(others(connecting, closed), ending.log_undecodable)
            .ignore((connecting, closed), NO_SOCKET)
        )
    yield (
        _On(events.Break).move(others(closed), closed, ending.announce_break).ignore(closed, OVER)
    )
    yield _On(events.Close).move(others(closed), closed, ending.close).ignore(closed, OVER)


def _observations() -> Iterator[_On]:
    for observation in get_args(events.Observation):
        yield _On(observation).ignore(ALL, OBSERVED)


SECTIONS: dict[str, tuple[_On, ...]] = {
    "The connection": tuple(_connection()),
    "The process": tuple(_process()),
    "Settings": tuple(_settings()),
    "The caller": tuple(_caller()),
    "Push-to-talk": tuple(_push_to_talk()),
    "The assistant's turn": tuple(_assistant()),
    "Tools": tuple(_tools()),
    "Replies that are asked for": tuple(_replies()),
    "Errors and the end": tuple(_the_end()),
    "What is observed": tuple(_observations()),
}
"""The table by subject, for readers."""

TABLE: tuple[Row, ...] = tuple(row for on in sum(SECTIONS.values(), ()) for row in on.rows)
"""The table: rows of one event follow each other, in the order in which they are tried."""


def rows_for(state: State, event: str) -> tuple[Row, ...]:
    """The rows of a pair, in the order in which they are tried."""
    return tuple(row for row in TABLE if row.event == event and state in row.sources)


def pairs() -> Iterator[tuple[State, str]]:
    """Every state × event pair."""
    for state in ALL:
        for event in events.EVENTS:
            yield state, event
