"""The part of Phonic's REST API that reads a conversation: its record, and its recording.

Source: Phonic's published description of the REST API (OpenAPI), ``/conversations/{id}``. Only GET
is served.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from phonic_fsm._wire.config import ConfigOptions

from ._channel import Channel
from ._history import History, KeptCall, KeptTurn
from ._published import CONFIG

_CONVERSATION = re.compile(r"/v1/conversations/([^/]+)")
_RECORDING = re.compile(r"/recordings/([^/]+)\.(wav|wav\.gz)")


def answer(request: Request, conversations: Mapping[str, Channel]) -> Response | None:
    """The answer to a request for a conversation or its recording; None if it is for neither."""
    target = urlsplit(request.path)
    query = parse_qs(target.query)
    if found := _RECORDING.fullmatch(target.path):
        kept = conversations.get(found[1])
        # Whoever has the address may read: it is signed, and the key stays out of it.
        if kept is None or kept.history.deleted or query.get("signature") != [_signature(kept)]:
            return _refused(HTTPStatus.FORBIDDEN, "the signature is wrong or has expired")
        config = kept.record.config or ConfigOptions()
        wav = kept.history.recording(bytes(kept.record.audio), config)
        body = gzip.compress(wav) if found[2] == "wav.gz" else wav
        return _response(HTTPStatus.OK, "audio/wav", body)
    if found := _CONVERSATION.fullmatch(target.path):
        if not request.headers.get("Authorization", "").startswith("Bearer "):
            return _refused(HTTPStatus.UNAUTHORIZED, "Unauthorized")
        kept = conversations.get(found[1])
        if kept is None or kept.record.config is None:
            return _refused(HTTPStatus.NOT_FOUND, "Conversation not found")
        (container,) = query.get("audio_container", ["wav.gz"])
        host = f"http://{request.headers['Host']}"
        address = f"{host}/recordings/{found[1]}.{container}?signature={_signature(kept)}"
        shown = {"conversation": _conversation(kept, kept.record.config, address)}
        return _response(HTTPStatus.OK, "application/json", msgspec.json.encode(shown))
    return None


def _signature(kept: Channel) -> str:
    return f"{id(kept.history):x}"


def _conversation(kept: Channel, config: ConfigOptions, recording: str) -> dict[str, Any]:
    history = kept.history
    redacted = bool(config.enable_redaction) and history.ended is not None
    hidden = redacted or history.deleted
    last = history.turns[-1].ended if history.turns else 0.0
    spoken = "\n".join(f"{turn.role.title()}: {turn.text}" for turn in history.turns)
    transcript = None if hidden else spoken
    deleted_at = _time(history.moment(history.ended or last)) if history.deleted else None
    return {
        "id": kept.record.conversation_id,
        "agent": None,
        "workspace": "simulated",
        "project": {"id": "proj_main", "name": _set(config, "project")},
        "external_id": config.external_id or None,
        "origin": "sdk-py",
        "model": _set(config, "model"),
        "generate_welcome_message": bool(config.generate_welcome_message),
        "is_welcome_message_interruptible": config.is_welcome_message_interruptible is not False,
        "welcome_message": config.welcome_message or None,
        "template_variables": config.template_variables or {},
        "system_prompt": None if hidden else config.system_prompt or None,
        **{
            name: _set(config, name)
            for name in (
                *("input_format", "output_format", "background_noise_level", "background_noise"),
                *("default_language", "additional_languages", "multilingual_mode"),
                *("push_to_talk", "no_input_poke_sec", "no_input_poke_text"),
                *("no_input_end_conversation_sec", "min_words_to_interrupt"),
                *("vad_prebuffer_duration_ms", "vad_min_speech_duration_ms"),
                *("vad_min_silence_duration_ms", "vad_threshold"),
            )
        },
        "boosted_keywords": config.boosted_keywords or None,
        "pronunciation_dictionary": config.pronunciation_dictionary or [],
        "live_transcript": transcript,
        "post_call_transcript": transcript if history.ended is not None else None,
        "redacted_transcript": _redacted(spoken) if redacted and not history.deleted else None,
        "is_redacted": redacted,
        "duration_ms": round((history.ended or last) * 1000, 3),
        "audio_url": None if history.deleted or history.ended is None else recording,
        "started_at": _time(history.moment(0.0)),
        "ended_at": None if history.ended is None else _time(history.moment(history.ended)),
        "ended_by": history.ended_by,
        "task_results": {},
        "items": [
            _item(turn, number, history, redacted) for number, turn in enumerate(history.turns)
        ],
        "call_info": None,
        "analysis": {
            "id": f"analysis_{kept.record.conversation_id}",
            "latencies_ms": [round(seconds * 1000, 3) for seconds in history.latencies],
            "interruptions_count": history.interruptions,
        },
        "deletion_info": {
            "transcripts_deleted_at": deleted_at,
            "audio_recordings_deleted_at": deleted_at,
        },
    }


def _set(config: ConfigOptions, name: str) -> Any:
    """An option's value, or what holds without it."""
    value = getattr(config, name)
    return CONFIG[name].default if value in (None, msgspec.UNSET) else value


def _item(turn: KeptTurn, number: int, history: History, redacted: bool) -> dict[str, Any]:
    hidden = redacted or history.deleted
    return {
        "id": f"item_{number}",
        "item_idx": number,
        "role": turn.role,
        "live_transcript": None if hidden else turn.text,
        "post_call_transcript": None if hidden or history.ended is None else turn.text,
        "redacted_transcript": _redacted(turn.text) if redacted and not history.deleted else None,
        "duration_ms": round((turn.ended - turn.began) * 1000, 3),
        "started_at": _time(history.moment(turn.began)),
        "tool_calls": [_call(call, hidden) for call in turn.calls],
    }


def _call(call: KeptCall, hidden: bool) -> dict[str, Any]:
    output = call.output if isinstance(call.output, dict) else {"output": call.output}
    return {
        "id": call.id,
        "tool": {"id": call.tool, "name": call.tool},
        "request_body": None if hidden else call.parameters,
        "response_body": None if hidden or call.output is None else output,
        "timed_out": call.timed_out,
        "error_message": call.problem,
    }


def _redacted(text: str) -> str:
    return re.sub(r"\d", "#", text)


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _refused(status: HTTPStatus, message: str) -> Response:
    body = msgspec.json.encode({"error": {"message": message}})
    return _response(status, "application/json", body)


def _response(status: HTTPStatus, kind: str, body: bytes) -> Response:
    headers = Headers(
        {"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"}
    )
    return Response(status.value, status.phrase, headers, body)
