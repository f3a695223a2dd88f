"""What a step is about: the kinds that ``--only`` chooses by, and the colour of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from phonic_fsm.trace.format import Line

from .failure import CommandFailed
from .text import printable


class Kind(NamedTuple):
    colour: str
    names: frozenset[str]
    """Of events, of effects and of the messages that are sent."""


def _kind(colour: str, names: str) -> Kind:
    return Kind(colour, frozenset(names.split()))


KINDS = {
    "state": _kind("bold", ""),  # every step that leaves a state
    "speech": _kind(
        "green",
        "user_started_speaking user_finished_speaking input_text input_cancelled "
        "assistant_started_speaking assistant_finished_speaking interrupted_response interrupt "
        "assistant_chose_not_to_respond dtmf open_generation close_generation correct_message "
        "emit_speech_started emit_speech_stopped emit_transcript emit_dtmf emit_timings "
        "prepare_generation announce_generation answer_unclaimed start_user_activity "
        "commit_audio clear_audio flush_audio mute unmute",
    ),
    "audio": _kind("dim", "audio_chunk push_text push_audio"),
    "tool": _kind(
        "yellow",
        "tool_call tool_call_interrupted tool_call_output_processed push_function_call "
        "tool_call_output emit_tool_call_settled",
    ),
    "reply": _kind(
        "blue",
        "generate_reply say cancel_reply reply_overdue resolve_reply reject_reply supersede_reply",
    ),
    "connection": _kind(
        "magenta",
        "open connection_opened connect_failed connection_closed retry_due answer_overdue "
        "grace_over restart "
        "conversation_created ready_to_start_conversation conversation_reconnected "
        "assistant_ended_conversation close connect disconnect set_audio_gate emit_connected "
        "emit_reconnected",
    ),
    "settings": _kind(
        "cyan",
        "update_instructions update_tools update_options update_session set_external_id "
        "changes_due config reset update_system_prompt update_tools_subset",
    ),
    "chat": _kind("cyan", "update_chat_ctx add_item add_system_message"),
    "error": _kind(
        "red", "error warning unknown_message malformed_message break state_overdue emit_error"
    ),
}


def chosen_kinds(words: Iterable[str]) -> frozenset[str]:
    """The kinds that ``--only`` names, each word one or more of them with commas between.

    Raises:
        CommandFailed: there is no such kind.
    """
    names = [name.strip() for word in words for name in word.split(",")]
    for name in names:
        if name not in KINDS:
            raise CommandFailed(f"no kind {printable(name)!r}: there are {', '.join(KINDS)}")
    return frozenset(names)


def kinds_of(line: Line) -> frozenset[str]:
    """Every kind that the step is of, by its event or any of its effects."""
    kinds = {kind for value in (line.event, *line.effects) if (kind := kind_of(value))}
    return frozenset(kinds | {"state"} if line.source != line.target else kinds)


def kind_of(value: dict[str, Any]) -> str | None:
    """The kind of one recorded event or effect; timers and the log have none."""
    for name in _names(value):
        for kind, (_, names) in KINDS.items():
            if name in names:
                return kind
    return None


def _names(value: dict[str, Any]) -> Iterator[Any]:
    if value.get("type") == "send" and isinstance(message := value.get("message"), dict):
        yield str(message.get("type"))
    yield str(value.get("type"))
