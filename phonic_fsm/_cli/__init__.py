"""The command ``phonic-fsm``: what each command takes, and how a mistake is told.

Every command's work is in a module of its own, imported when the command runs: replaying a trace
should not wait until LiveKit has loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from .._version import __version__
from .failure import run_or_fail, used_alone

app = typer.Typer(
    help="Phonic speech-to-speech for LiveKit Agents, as a state machine that can be replayed.",
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"phonic-fsm {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    pass


@app.command(epilog="Example: phonic-fsm demo --scenario interruption --out agent.wav")
def demo(
    scenario: Annotated[
        str, typer.Option(help="A shipped scenario's name, or a scenario file.")
    ] = "demo",
    wav: Annotated[
        Path | None,
        typer.Option(help="The caller's audio: PCM WAV, any rate, mono or stereo."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where the agent's audio goes (WAV).")] = None,
    trace: Annotated[
        Path | None, typer.Option(help="Where the session's trace goes (JSONL).")
    ] = None,
) -> None:
    """Hold a spoken conversation against the simulator; needs no key and no network."""
    from .demo import run_demo  # noqa: PLC0415

    raise typer.Exit(run_demo(scenario, wav, out, trace))


@app.command(epilog="Example: phonic-fsm replay call.jsonl --only tool,error")
def replay(
    trace: Annotated[Path, typer.Argument(help="A trace that a session has recorded.")],
    *,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Steps of these kinds alone: state, speech, audio, tool, reply, connection, "
            "settings, chat, error. Repeat it or put commas between."
        ),
    ] = None,
    until: Annotated[
        int | None, typer.Option(min=1, help="Stop after this step; with --step, begin there.")
    ] = None,
    step: Annotated[
        bool, typer.Option("--step", help="Go through it by keys, forward and back.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="A session that still runs: show its steps to its end.")
    ] = False,
    every_chunk: Annotated[
        bool, typer.Option("--all", help="Each audio chunk for itself, not drawn together.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Events and effects whole, not cut at the width.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Run a trace through the machine again. Exit 0: identical, 1: diverged, 2: not readable."""
    if step:
        used_alone("--step", {"--follow": follow, "--json": json, "--full": full})
    if json:
        used_alone("--json", {"--full": full, "--all": every_chunk})
    if only:
        used_alone("--only", {"--all": every_chunk})
    from .replay import View, run_replay  # noqa: PLC0415

    view = View(
        only=tuple(only or ()),
        until=until,
        every_chunk=every_chunk,
        full=full,
        step=step,
        follow=follow,
        as_json=json,
    )
    raise typer.Exit(run_replay(trace, view))


@app.command(epilog="Example: phonic-fsm report call.jsonl --out call.html")
def report(
    trace: Annotated[
        Path, typer.Argument(help="A trace, or a directory with traces in it and below.")
    ],
    out: Annotated[
        Path,
        typer.Option(help="The page; of a directory, the directory for the pages, one a trace."),
    ],
) -> None:
    """Write a page that explains a call. Exit 0: it replays identically, 1: it diverges.

    Of a directory's traces, one that cannot be read is named and left out. Exit 2: the trace, or
    every trace of the directory, cannot be read.
    """
    from .report import run_report  # noqa: PLC0415

    raise typer.Exit(run_report(trace, out))


@app.command(epilog="Example: phonic-fsm stats traces/")
def stats(
    traces: Annotated[
        list[Path], typer.Argument(help="Traces, or directories with traces in them and below.")
    ],
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object per trace, then the summary.")
    ] = False,
) -> None:
    """Measure calls: time to ready, latencies, tools, interruptions, outages.

    A trace that cannot be read is told and left out. Exit 2: not one can be read.
    """
    from .stats import run_stats  # noqa: PLC0415

    raise typer.Exit(run_stats(traces, as_json=json))


@app.command(epilog="Example: phonic-fsm diff before.jsonl after.jsonl")
def diff(
    a: Annotated[Path, typer.Argument(help="A trace.")],
    b: Annotated[
        Path | None,
        typer.Argument(help="Another one; without it, what this version makes of the first."),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Events and values whole, not cut at the width.")
    ] = False,
) -> None:
    """Show every differing step. Exit 0: none, 1: some, 2: not readable."""
    from .diff import run_diff  # noqa: PLC0415

    raise typer.Exit(run_diff(a, b, full=full))


@app.command(epilog="Example: phonic-fsm redact call.jsonl call.redacted.jsonl")
def redact(
    trace: Annotated[Path, typer.Argument(help="A trace that a session has recorded.")],
    out: Annotated[Path, typer.Argument(help="Where the redacted one goes; .gz for gzip.")],
) -> None:
    """Take what was said, and whatever else may be private, out of a trace; it still replays."""
    from .redact import run_redact  # noqa: PLC0415

    raise typer.Exit(run_redact(trace, out))


class _WithDoubts(TyperCommand):
    """A command whose help ends with the simulator's doubts, which are loaded only then."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        from .simulate import doubts_as_text  # noqa: PLC0415

        super().format_help(ctx, formatter)
        formatter.write(doubts_as_text(formatter.width))


@app.command(
    cls=_WithDoubts, epilog="Example: phonic-fsm simulate --port 8765 --scenario tool-call"
)
def simulate(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")
    ] = 8765,
    scenario: Annotated[
        str, typer.Option(help="A shipped scenario's name, or a scenario file.")
    ] = "small-talk",
    doubt: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VARIANT",
            help="Answer an open question about the service this way; all=other takes the second "
            "variant of each. --help lists the questions. Repeat it.",
        ),
    ] = None,
) -> None:
    """Run a server that speaks Phonic's protocol, until Ctrl-C."""
    from .simulate import run_simulate  # noqa: PLC0415

    raise typer.Exit(run_simulate(host, port, scenario, doubt or []))


@app.command(epilog="Example: phonic-fsm diagram --state speaking --event interrupt")
def diagram(
    format: Annotated[  # noqa: A002 - the option's name
        Literal["mermaid", "table", "dot", "svg"] | None,
        typer.Option(
            help="mermaid, dot and svg are drawings; table is Markdown with every state and event. "
            "Without it: mermaid."
        ),
    ] = None,
    trace: Annotated[
        list[Path] | None,
        typer.Option(
            help="Count what this trace took, or the traces in this directory. May be repeated."
        ),
    ] = None,
    state: Annotated[
        str | None, typer.Option(help="Print what every event does in this state.")
    ] = None,
    event: Annotated[
        str | None, typer.Option(help="Print what this event does in every state.")
    ] = None,
) -> None:
    """Print the session's state machine.

    With --trace, it shows how often each transition was taken, and which never was. With --state
    and --event, it prints the rows that the event meets in the state: what each asks, what it
    does, and which state follows.
    """
    from .diagram import drawn, looked_up  # noqa: PLC0415

    if state or event:
        used_alone("--state and --event", {"--format": format, "--trace": trace})
        typer.echo(looked_up(state, event), nl=False)
    else:
        typer.echo(drawn(format or "mermaid", trace or []), nl=False)


def main() -> None:
    """The console script."""
    run_or_fail(app, "phonic-fsm")
