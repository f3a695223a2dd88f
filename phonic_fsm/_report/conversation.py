"""The transcript of a call. It marks what the caller did not hear of an answer."""

from __future__ import annotations

import json
from typing import Any

from msgspec import Struct

from phonic_fsm.trace._format import Line

from .lanes import AssistantSpeech, Lanes


class Entry(Struct, kw_only=True):
    step: int
    at: float
    """When it began to be heard (s); what the caller said: when its transcript came."""
    who: str
    """``caller``, ``assistant``, ``typed`` (by the user), ``system`` or ``tool``."""
    text: str
    unheard: str = ""
    """The rest of the text, which was cut off."""


class ConversationBuilder:
    """Takes the steps and gives the transcript."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._answers: dict[str, Entry] = {}
        """The assistant's messages by id."""
        self._corrected: dict[str, str] = {}

    def take(self, line: Line) -> None:
        for effect in line.effects:
            if effect["type"] == "add_item":
                self._add(line, effect["item"])
            elif effect["type"] == "correct_message":
                self._corrected[effect["id"]] = effect["text"]
        if line.event["type"] == "update_chat_ctx":
            for addition in line.event.get("added", ()):
                self._add(line, addition["item"])

    def _add(self, line: Line, item: dict[str, Any]) -> None:
        kind, role = item["type"], item.get("role")
        if kind == "other_item":
            return  # nothing was said in it
        if kind == "function_call":
            self._enter(line, "tool", f"{item['name']}({item['arguments']})")
        elif kind == "function_call_output":
            self._enter(line, "tool", f"{item['name']} → {_plain(item['output'])}")
        elif role == "assistant":
            self._answers[item["id"]] = self._enter(line, "assistant", item["text"])
        elif line.event["type"] == "input_text":
            self._enter(line, "caller", item["text"])
        else:
            self._enter(line, "typed" if role == "user" else "system", item["text"])

    def _enter(self, line: Line, who: str, text: str) -> Entry:
        entry = Entry(step=line.seq, at=line.t, who=who, text=text)
        self._entries.append(entry)
        return entry

    def entries(self, lanes: Lanes) -> list[Entry]:
        """The transcript, in the order in which it was heard."""
        parts: dict[str, list[AssistantSpeech]] = {}
        for speech in lanes.assistant:
            parts.setdefault(speech.message, []).append(speech)
        for message, entry in self._answers.items():
            heard = self._corrected.get(message)
            if spoken := parts.get(message):
                entry.step, entry.at = spoken[0].step, spoken[0].start
                if not any(part.played for part in spoken):
                    heard = ""
                elif heard is None and spoken[-1].unheard is not None:
                    heard = _heard(spoken)
            if heard is not None:
                rest = entry.text[len(heard) :] if entry.text.startswith(heard) else entry.text
                entry.text, entry.unheard = heard, rest
        return sorted(self._entries, key=lambda entry: entry.at)


def _heard(spoken: list[AssistantSpeech]) -> str:
    """The words that had begun when the message was cut off."""
    return "".join(text for speech in spoken for at, text in speech.words if at < speech.end)


def _plain(output: Any) -> str:
    return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
