"""``phonic-fsm fetch``: gets Phonic's record of a recorded call, and keeps it beside the trace."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from pathlib import Path

import msgspec
from rich.console import Console

from phonic_fsm._report.numbers import count
from phonic_fsm.trace._reader import TraceCutOff, TraceError, TraceReader
from phonic_fsm.trace._service_record import (
    ServiceConversation,
    ServiceRecord,
    ServiceRecordError,
    read_record,
    record_file,
    recording_file,
)

from .endpoint import endpoint_or_fail
from .failure import CommandFailed
from .text import printable

REFUSED = 1


def run_fetch(trace: Path, base_url: str | None) -> int:
    """Get the record of every conversation of the call; returns the exit code.

    Raises:
        CommandFailed: there is no key, the address is wrong, the trace cannot be read, is redacted
            or names no conversation, or a file cannot be written.
    """
    endpoint = endpoint_or_fail(base_url)
    wanted = _conversations_of(trace)
    path = record_file(trace)
    _check_is_record(path)
    # The SDK's client takes a second to import.
    from .service import Service, Unavailable  # noqa: PLC0415

    found: list[ServiceConversation] = []
    problems: list[str] = []
    try:
        with Service(endpoint) as service:
            for number, conversation_id in enumerate(wanted, 1):
                try:
                    recording = recording_file(trace, number)
                    found.append(service.conversation(conversation_id, recording))
                except Unavailable as unavailable:
                    problems.append(str(unavailable))
            if found:
                now = datetime.now(timezone.utc).isoformat(timespec="seconds")
                record = ServiceRecord(fetched=now, conversations=found)
                data = msgspec.json.format(msgspec.json.encode(record)).decode()
                path.write_text(service.hide(data) + "\n", encoding="utf-8")
    except Unavailable as unavailable:
        problems.append(str(unavailable))
    except OSError as error:
        name = error.filename or path
        raise CommandFailed(printable(f"{name}: {error.strerror or error}")) from error
    _tell(found, path)
    for problem in problems:
        print(f"phonic-fsm: {printable(problem)}", file=sys.stderr)  # noqa: T201
    return REFUSED if problems else 0


def _conversations_of(trace: Path) -> list[str]:
    """The ids of the call's conversations, in their order."""
    found: dict[str, None] = {}
    try:
        reader = TraceReader(trace)
        if reader.header.redacted:
            raise CommandFailed(
                printable(f"{trace} is redacted, and Phonic's record would not be: name the trace")
                + " that it was made of"
            )
        try:
            for line in reader:
                if line.event["type"] == "conversation_created":
                    found[str(line.event["conversation_id"])] = None
        except TraceCutOff:
            pass  # what a crash has left names the conversation all the same
    except TraceError as error:
        raise CommandFailed(printable(str(error))) from error
    if not found:
        raise CommandFailed(
            printable(f"{trace} names no conversation: Phonic was not connected, or not ready")
        )
    return list(found)


def _check_is_record(path: Path) -> None:
    """Write over an older record, but over nothing else."""
    try:
        if path.exists():
            read_record(path)
    except ServiceRecordError as error:
        raise CommandFailed(printable(f"{error}; move it away")) from error


def _tell(found: list[ServiceConversation], path: Path) -> None:
    console = Console(highlight=False, soft_wrap=True, markup=False)
    for conversation in found:
        turns, calls = len(conversation.turns), sum(len(t.calls) for t in conversation.turns)
        end = f"ended by {conversation.ended_by}" if conversation.ended_by else "has not ended"
        console.print(
            printable(
                f"{conversation.id}: {conversation.seconds:.1f} s, {count(turns, 'turn')}, "
                f"{count(calls, 'tool call')}, {end}"
            )
        )
        for remark in conversation.remarks:
            console.print(printable(f"  {remark}"))
    if found:
        console.print(printable(f"see {path}; the page of phonic-fsm report shows it"))
