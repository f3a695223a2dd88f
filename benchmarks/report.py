"""Figures as JSON, as tables and as a plot: what the document has of a run."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import msgspec
from msgspec import Struct, field

from .many import CURVE
from .measuring import Result
from .profiling import LAYER_NAMES
from .rooms import BENCHMARKS as ROOMS

DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"
FIGURES = DOCUMENT.with_suffix(".json")
PLOT = DOCUMENT.with_suffix(".svg")

CONTESTANTS = {"phonic_fsm": "phonic-fsm", "plugin": "plugin", "floor": "floor"}

UNITS = {
    "us": ("", "µs"),
    "traced_us": (", traced", "µs"),
    "writer_us": (", of which the thread that writes", "µs"),
    "second_us": (", and once a second", "µs"),
    "times_plain": (", beside a plain one", "times as much"),
    "ms": (", CPU", "ms"),
    "import_ms": (", the import, CPU", "ms"),
    "wall_ms": (", time", "ms"),
    "closing_ms": (", closing, CPU", "ms"),
    "closing_wall_ms": (", closing, time", "ms"),
    "hold_ms": ("", "ms"),
    "p50_ms": (", p50", "ms"),
    "p99_ms": (", p99", "ms"),
    "lag_p99_ms": (", the event loop's lag, p99", "ms"),
    "kB": ("", "kB"),
    "steps_per_s": ("", "steps/s"),
}
"""What to call a figure, and its unit. Others are in the JSON only."""


def _environment() -> dict[str, str]:
    packages = ("livekit-agents", "livekit-plugins-phonic", "websockets", "msgspec", "transitions")
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


class Report(Struct, frozen=True):
    """A run."""

    results: dict[str, Result]
    """By the benchmark's name."""
    environment: dict[str, str] = field(default_factory=_environment)


def save(report: Report, path: Path) -> None:
    """Keep a run, every round of it."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")


def load(path: Path) -> Report:
    """A run that was kept."""
    return msgspec.json.decode(path.read_bytes(), type=Report)


def write_document(report: Report) -> None:
    """Put a run's figures into the document, between the lines that mark their places."""
    text = DOCUMENT.read_text(encoding="utf-8")
    blocks = {
        "environment": ", ".join(f"{name} {value}" for name, value in report.environment.items()),
        "rows": rows(report),
        "rooms": rooms(report),
        "curve": _curve(report),
        "layers": _profile(report, lambda name: name in LAYER_NAMES),
        "functions": _profile(report, lambda name: name not in LAYER_NAMES),
    }
    for name, block in blocks.items():
        before, mark, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        text = f"{before}{mark}{block}\n{end}{after}"
    DOCUMENT.write_text(text, encoding="utf-8")
    _plot(report)


ROOM_NAMES = {benchmark.name for benchmark in ROOMS}

ROOM_FIGURES = {
    "core": ("CPU a call", "% of a core"),
    "MB": ("memory a call", "MB"),
    "answer_ms": ("mouth to ear, without the decision", "ms"),
    "there_ms": ("of which mouth to Phonic", "ms"),
    "back_ms": ("of which Phonic to ear", "ms"),
}

CURVE_NAMES = {f"live_{sessions}" for sessions in CURVE}


def rows(report: Report) -> str:
    """Medians of all that is no curve and no profile, with the ratio to the plugin."""
    lines = ["| | phonic-fsm | plugin | floor | plugin / phonic-fsm |", "|---|---|---|---|---|"]
    for name, result in report.results.items():
        if name.startswith("profile_") or name in CURVE_NAMES | ROOM_NAMES:
            continue
        for figure in max(result.rounds["phonic_fsm"], key=len):
            if figure in UNITS:
                suffix, unit = UNITS[figure]
                medians = [_median(result, who, figure, f" {unit}") for who in CONTESTANTS]
                ratio = result.ratio("plugin", figure)
                cells = [result.title + suffix, *medians, f"{ratio:.1f}" if ratio else ""]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def rooms(report: Report) -> str:
    """Medians of the jobs in rooms, with their ratios to the bare job."""
    lines = ["| | bare job | phonic-fsm | | plugin | |", "|---|---|---|---|---|---|"]
    for name, result in report.results.items():
        if name not in ROOM_NAMES:
            continue
        for figure, (what, unit) in ROOM_FIGURES.items():
            cells = [f"{result.title}: {what}", _median(result, "floor", figure, f" {unit}")]
            for contestant in ("phonic_fsm", "plugin"):
                ratio = result.ratio(contestant, figure, to="floor")
                cells.append(_median(result, contestant, figure, f" {unit}"))
                cells.append(f"{ratio:.2f} ×" if ratio else "")
            lines.append(f"| {' | '.join(cells)} |")
        for contestant, rounds in result.rounds.items():
            if unfinished := result.unfinished(contestant):
                who = CONTESTANTS[contestant] if contestant != "floor" else "bare job"
                what = (
                    f"{unfinished} of {len(rounds)} rounds came to no end: a caller heard nothing"
                )
                lines.append(f"| {result.title}: {who}, {what} | | | | | |")
    return "\n".join(lines)


def _median(result: Result, contestant: str, figure: str, unit: str = "") -> str:
    if not result.values(contestant, figure):
        return ""
    value = result.median(contestant, figure)
    return f"{value:,.{0 if value >= 100 else 1}f}{unit}"


def _curve(report: Report) -> str:
    head = "| sessions | µs a pair | plugin | floor | lag p99 (ms) | plugin | floor |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    for sessions in CURVE:
        result = report.results.get(f"live_{sessions}")
        if result is not None:
            cells = [
                _median(result, who, figure)
                for figure in ("us", "lag_p99_ms")
                for who in CONTESTANTS
            ]
            lines.append(f"| {sessions} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _profile(report: Report, wanted: Callable[[str], bool]) -> str:
    profiles = [
        result.rounds["phonic_fsm"][0]
        for name, result in report.results.items()
        if name.startswith("profile_")
    ]
    names = dict.fromkeys(name for profile in profiles for name in profile if wanted(name))
    lines = ["| | receiving | sending |", "|---|---|---|"]
    for name in names:
        shares = [f"{profile[name]:.0f} %" if name in profile else "" for profile in profiles]
        lines.append(f"| {name} | {' | '.join(shares)} |")
    return "\n".join(lines)


def _plot(report: Report) -> None:
    import matplotlib as mpl  # noqa: PLC0415 - only whoever writes the document needs it

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "phonic-fsm"
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, (cost, lag) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for who, label in CONTESTANTS.items():
        results = {n: report.results[f"live_{n}"] for n in CURVE if f"live_{n}" in report.results}
        results = {n: result for n, result in results.items() if who in result.rounds}
        for axes, name in ((cost, "us"), (lag, "lag_p99_ms")):
            medians = [result.median(who, name) for result in results.values()]
            axes.plot(list(results), medians, marker="o", label=label)
    cost.set(xlabel="live sessions", ylabel="CPU per chunk pair (µs)", ylim=(0, None))
    lag.set(xlabel="live sessions", ylabel="event loop's lag, p99 (ms)", yscale="log")
    lag.axhline(20, color="grey", linestyle=":", label="20 ms")
    cost.legend()
    lag.legend()
    figure.savefig(PLOT, metadata={"Date": None})
