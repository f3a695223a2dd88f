"""What a step is about: one table of kinds, by the names of events, effects and messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ._format import Line


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


KINDS: dict[str, frozenset[str]] = {
    "state": _names(""),  # every step that leaves a state
    "speech": _names(
        "user_started_speaking user_finished_speaking input_text input_cancelled "
        "assistant_started_speaking assistant_finished_speaking interrupted_response interrupt "
        "assistant_chose_not_to_respond dtmf open_generation close_generation correct_message "
        "emit_speech_started emit_speech_stopped emit_transcript emit_dtmf emit_timings "
        "prepare_generation announce_generation answer_unclaimed start_user_activity "
        "commit_audio clear_audio flush_audio mute unmute",
    ),
    "audio": _names("audio_chunk push_text push_audio"),
    "tool": _names(
        "tool_call tool_call_interrupted tool_call_output_processed push_function_call "
        "tool_call_output emit_tool_call_settled",
    ),
    "reply": _names(
        "generate_reply say cancel_reply reply_overdue resolve_reply reject_reply supersede_reply",
    ),
    "connection": _names(
        "open connection_opened connect_failed connection_closed retry_due answer_overdue "
        "grace_over restart "
        "conversation_created ready_to_start_conversation conversation_reconnected "
        "assistant_ended_conversation close connect disconnect set_audio_gate emit_connected "
        "emit_reconnected",
    ),
    "settings": _names(
        "update_instructions update_tools update_options update_session set_external_id "
        "changes_due config reset update_system_prompt update_tools_subset",
    ),
    "chat": _names("update_chat_ctx add_item add_system_message"),
    "error": _names(
        "error warning unknown_message malformed_message break state_overdue emit_error"
    ),
}
"""Kind → names of events, of effects and of the messages that are sent."""


def kinds_of(line: Line) -> frozenset[str]:
    """Every kind that the step is of, by its event or any of its effects."""
    kinds = {kind for value in (line.event, *line.effects) if (kind := kind_of(value))}
    return frozenset(kinds | {"state"} if line.source != line.target else kinds)


def kind_of(value: dict[str, Any]) -> str | None:
    """The kind of one recorded event or effect; timers and the log have none."""
    for name in _names_of(value):
        for kind, names in KINDS.items():
            if name in names:
                return kind
    return None


def _names_of(value: dict[str, Any]) -> Iterator[Any]:
    if value.get("type") == "send" and isinstance(message := value.get("message"), dict):
        yield str(message.get("type"))
    yield str(value.get("type"))
