"""The figures of a call in words."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from phonic_fsm.trace._stats import Figures, percentile

LONG = 120.0
"""What takes so many seconds is told in minutes."""


class Number(Struct, kw_only=True):
    name: str
    value: str
    beside: str = ""
    """A second value."""
    note: str = ""
    series: Sequence[float] = ()
    """The single values in their order (s), from which the figure follows."""
    bad: bool = False
    """Whether something is wrong."""


def numbers(figures: Figures) -> list[Number]:
    return [
        Number(
            name="Time to ready",
            value=_seconds(figures.time_to_ready),
            note="from the first step until the conversation was open",
            bad=figures.time_to_ready is None,
        ),
        _spread(
            "Response latency",
            figures.response_latencies,
            f"from {_whose_end(figures)} to the first audio of the answer",
        ),
        _spread("Tool calls", figures.tool_durations, _what_tools_took(figures)),
        Number(
            name="Interruptions", value=str(figures.interruptions), note="answers that were cut off"
        ),
        Number(
            name="Outages",
            value=_total(figures.outages),
            beside=f"in {len(figures.outages)}" if len(figures.outages) > 1 else "",
            note="without a connection, in mid-call",
            series=figures.outages,
            bad=bool(figures.outages),
        ),
        Number(
            name="Audio lost",
            value=duration(figures.dropped_audio_ms / 1000),
            note="of the caller's audio, in outages"
            if figures.dropped_audio_is_measured or not figures.dropped_audio_ms
            else "at most, of the caller's audio, in outages",
            bad=figures.dropped_audio_ms > 0,
        ),
    ]


def _what_tools_took(figures: Figures) -> str:
    observed, all_calls = len(figures.tool_waits), len(figures.tool_durations)
    if not observed:
        return "from the call to the output, with any speech that LiveKit played first"
    if observed == all_calls:
        return "as long as LiveKit ran the tool"
    return (
        "as long as LiveKit ran the tool; where that was not observed, from the call to the output"
    )


def _whose_end(figures: Figures) -> str:
    answered = [turn for turn in figures.turns if turn.answers]
    others = [turn for turn in answered if turn.silent is None]
    if not others:
        return "the caller's last sound"
    if len(others) < len(answered):
        return f"the caller's last sound, or in {count(len(others), 'turn')} the end of the turn,"
    committed = [turn.committed for turn in others]
    if all(committed):
        return "when the caller's turn was committed"
    if any(committed):
        return "the end of the caller's turn"
    return "when Phonic said that the caller had finished"


def _spread(name: str, values: Sequence[float], note: str) -> Number:
    if not values:
        return Number(name=name, value="none", note=note)
    if len(values) == 1:
        return Number(name=name, value=_seconds(values[0]), note=note, series=values)
    return Number(
        name=name,
        value=_seconds(percentile(values, 50)),
        beside=f"p95 {_seconds(percentile(values, 95))}",
        note=f"the median of {len(values)}, {note}",
        series=values,
    )


def _total(outages: Sequence[float]) -> str:
    if not outages:
        return "none"
    return _seconds(sum(outages))


def _seconds(value: float | None) -> str:
    return "never" if value is None else duration(value)


def duration(seconds: float) -> str:
    if seconds < 0.95:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < LONG:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
