"""Asks Phonic for its record of a conversation, with the SDK's own client.

Nothing that is raised here holds the key, or an address that Phonic has signed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx
import msgspec
from msgspec import Struct, field
from phonic import Phonic
from phonic.core.api_error import ApiError
from phonic.environment import PhonicEnvironment

from phonic_fsm._runtime.endpoint import Endpoint
from phonic_fsm._runtime.secrets import Secrets
from phonic_fsm.trace._service_record import ServiceCall, ServiceConversation, ServiceTurn

LARGEST_RECORDING = 2**30
"""The most bytes of a recording: an hour and a half of stereo at 48 kHz."""

PATIENCE = 30.0
"""Seconds without a byte until a request is given up."""

LONGEST_TOLD = 300
"""Characters of what Phonic says about a request that it refuses."""


class Unavailable(Exception):
    """Phonic does not hand out the record. The text is one line."""


class _Named(Struct):
    name: str = ""


class _Call(Struct):
    tool: _Named = field(default_factory=_Named)
    request_body: Any = None
    response_body: Any = None
    timed_out: bool | None = None
    error_message: str | None = None


class _Item(Struct):
    role: str
    live_transcript: str | None = None
    post_call_transcript: str | None = None
    redacted_transcript: str | None = None
    duration_ms: float | None = None
    started_at: datetime | None = None
    tool_calls: list[_Call] | None = None


class _Analysis(Struct):
    latencies_ms: list[float] = []
    interruptions_count: int = 0


class _Deletion(Struct):
    transcripts_deleted_at: datetime | None = None
    audio_recordings_deleted_at: datetime | None = None


class _Conversation(Struct):
    """The fields that are used, as the REST API has them. Any may be missing."""

    id: str
    model: str | None = None
    project: _Named | None = None
    agent: _Named | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    ended_by: str | None = None
    duration_ms: float | None = None
    audio_url: str | None = None
    items: list[_Item] | None = None
    analysis: _Analysis | None = None
    is_redacted: bool | None = None
    deletion_info: _Deletion | None = None


class _Answer(Struct):
    conversation: _Conversation


class Service:
    """Phonic's REST API. Use it as a context manager."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Raise ``Unavailable`` if the environment names a proxy that cannot be used."""
        self._endpoint = endpoint
        self._secrets = Secrets(endpoint.api_key)
        for proxy in getproxies().values():
            with suppress(ValueError):
                self._secrets.learn_proxy(proxy)
        scheme, _, rest = endpoint.base_url.rstrip("/").partition(":")
        base = f"{'https' if scheme == 'wss' else 'http'}:{rest}/v1"
        try:
            # The key follows no redirect, and what is on this machine needs no proxy.
            self._http = httpx.Client(
                timeout=PATIENCE, follow_redirects=False, trust_env=not endpoint.is_on_this_machine
            )
        except ImportError:
            raise Unavailable(
                'a SOCKS proxy needs a package here: pip install "httpx[socks]"'
            ) from None
        except (ValueError, httpx.InvalidURL):
            # Not quoted: a proxy's address may hold its password.
            named = ", ".join(sorted(f"{kind}_proxy" for kind in getproxies()))
            raise Unavailable(f"httpx cannot read a proxy's address: check {named}") from None
        self._phonic = Phonic(
            api_key=endpoint.api_key,
            environment=PhonicEnvironment(base=base, production=endpoint.base_url),
            httpx_client=self._http,
        )

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def hide(self, text: str) -> str:
        """The text without the key."""
        return self._secrets.hide(text)

    def conversation(self, conversation_id: str, recording: Path) -> ServiceConversation:
        """Get the record of a conversation, and write its recording to this path.

        Raises:
            Unavailable: Phonic has none, or refuses, or cannot be reached.
            OSError: the recording cannot be written.
        """
        with self._told_in_one_line(conversation_id):
            # The id goes into a path. One of Phonic's has nothing that would have to be escaped.
            if not conversation_id.replace("_", "").replace("-", "").isalnum():
                raise Unavailable(f"{conversation_id!r} is no id of Phonic's")
            try:
                found = self._phonic.conversations.get(
                    conversation_id, audio_container="wav", request_options={"max_retries": 1}
                )
                answer = msgspec.convert(found.dict(), _Answer)
            # The SDK checks nothing, and stumbles over what has another shape.
            except (msgspec.ValidationError, AttributeError, TypeError):
                raise Unavailable(f"Phonic's record of {conversation_id} cannot be read") from None
        return self._kept(answer.conversation, recording)

    def _kept(self, found: _Conversation, recording: Path) -> ServiceConversation:
        remarks = list(_remarks(found))
        has_recording = False
        if found.audio_url:
            try:
                with self._told_in_one_line(found.id):
                    self._download(found.audio_url, recording)
                has_recording = True
            except Unavailable as problem:
                remarks.append(f"the recording could not be had: {problem}")
        analysis, began = found.analysis or _Analysis(), _in_utc(found.started_at)
        return ServiceConversation(
            id=found.id,
            model=found.model or "",
            project=found.project.name if found.project else "",
            agent=found.agent.name if found.agent else "",
            started=began.isoformat() if began else "",
            seconds=(found.duration_ms or 0.0) / 1000,
            ended_by=found.ended_by,
            latencies_ms=analysis.latencies_ms,
            interruptions=analysis.interruptions_count,
            turns=[_turn(item, began) for item in found.items or ()],
            recording=recording.name if has_recording else None,
            remarks=remarks,
        )

    def _download(self, address: str, recording: Path) -> None:
        if urlsplit(address).scheme not in ("http", "https"):
            raise Unavailable("its address is none of the web")
        part = recording.with_name(f"{recording.name}.part")
        try:
            with self._http.stream("GET", address) as response, part.open("wb") as file:
                if response.status_code != httpx.codes.OK:
                    raise Unavailable(f"its address answers HTTP {response.status_code}")
                for data in response.iter_bytes():
                    file.write(data)
                    if file.tell() > LARGEST_RECORDING:
                        raise Unavailable(f"it is larger than {LARGEST_RECORDING >> 20} MiB")
            with part.open("rb") as file:
                if file.read(4) != b"RIFF":
                    raise Unavailable("it is no WAV file")
            part.replace(recording)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()

    @contextmanager
    def _told_in_one_line(self, conversation_id: str) -> Iterator[None]:
        try:
            yield
        except ApiError as error:
            # Its own text has headers in it.
            raise Unavailable(self._refusal(conversation_id, error)) from None
        except httpx.TimeoutException:
            raise Unavailable(f"Phonic does not answer within {PATIENCE:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            problem = self.hide(" ".join(str(error).split())) or type(error).__name__
            raise Unavailable(f"Phonic cannot be reached: {problem[:LONGEST_TOLD]}") from None

    def _refusal(self, conversation_id: str, error: ApiError) -> str:
        status = error.status_code
        if status == httpx.codes.UNAUTHORIZED:
            return "Phonic refuses the key (HTTP 401): check PHONIC_API_KEY"
        if status == httpx.codes.FORBIDDEN:
            return f"the key may not read {conversation_id} (HTTP 403)"
        if status == httpx.codes.NOT_FOUND:
            return f"Phonic has no conversation {conversation_id} for this key (HTTP 404)"
        if httpx.codes.is_redirect(status or 0):
            return f"Phonic answers HTTP {status}: a redirect is not followed; set PHONIC_BASE_URL"
        told = self.hide(" ".join(_message(error.body).split()))
        return f"Phonic answers HTTP {status}" + (f": {told[:LONGEST_TOLD]}" if told else "")


def _message(body: Any) -> str:
    """What an error says, as the REST API has it."""
    try:
        found = body if isinstance(body, dict) else body.dict()
        return str(found["error"]["message"])
    except (AttributeError, KeyError, TypeError):
        return ""


def _remarks(found: _Conversation) -> Iterator[str]:
    if found.ended_at is None:
        yield "the conversation has not ended; fetch it again afterwards"
    if found.is_redacted:
        yield "Phonic has redacted the conversation: these are its redacted transcripts"
    deleted = found.deletion_info or _Deletion()
    if deleted.transcripts_deleted_at:
        yield f"Phonic has deleted the transcripts ({_day(deleted.transcripts_deleted_at)})"
    if deleted.audio_recordings_deleted_at:
        yield f"Phonic has deleted the recording ({_day(deleted.audio_recordings_deleted_at)})"
    elif found.audio_url is None and found.ended_at is not None:
        yield "Phonic has no recording"


def _in_utc(moment: datetime | None) -> datetime | None:
    """The moment. One without a time zone is in UTC, as Phonic's are."""
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=timezone.utc)


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _turn(item: _Item, began: datetime | None) -> ServiceTurn:
    text = item.live_transcript
    at = _in_utc(item.started_at)
    return ServiceTurn(
        role="user" if item.role == "user" else "assistant",
        text=item.redacted_transcript if text is None else text,
        later=item.post_call_transcript,
        at=(at - began).total_seconds() if at is not None and began is not None else None,
        seconds=(item.duration_ms or 0.0) / 1000,
        calls=[
            ServiceCall(
                name=call.tool.name,
                request=call.request_body,
                response=call.response_body,
                timed_out=bool(call.timed_out),
                error=call.error_message,
            )
            for call in item.tool_calls or ()
        ],
    )
