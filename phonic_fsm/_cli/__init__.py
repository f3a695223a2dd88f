"""The command line ``phonic-fsm``: every command with its arguments and options.

What a command does is in a module of its own, which is imported when the command runs. So a command
that needs no LiveKit, such as ``replay``, does not wait until LiveKit has loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from .._version import __version__
from .failure import CommandFailed, run_or_fail, used_alone

app = typer.Typer(
    help="Tools for phonic-fsm: Phonic speech-to-speech for LiveKit Agents. They try an agent "
    "without a key, and explain recorded calls.",
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
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


Thresholds = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RULE.NAME=VALUE",
        help="Set a threshold of what stands out, such as silence.waiting=5; docs/findings.md "
        "lists them. May be repeated.",
    ),
]

JournalsPlace = Annotated[
    str,
    typer.Argument(
        help="Where the journals are: a directory, or Redis's address (redis://, rediss://).",
        envvar="PHONIC_FSM_JOURNAL",
    ),
]


@app.command(epilog="Example: phonic-fsm demo --scenario interruption --out agent.wav")
def demo(
    scenario: Annotated[
        str, typer.Option(help="The name of a scenario of this package, or a scenario file.")
    ] = "demo",
    wav: Annotated[
        Path | None,
        typer.Option(
            help="Audio of the caller, in place of the scenario's: PCM WAV, any rate, mono or "
            "stereo."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write what the agent says to this WAV file. Without it: a file named by the time."
        ),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            help="Write the session's trace to this file. Without it: a file named by the time."
        ),
    ] = None,
) -> None:
    """Hold a spoken conversation with a simulated Phonic. It needs no key and no network."""
    from .demo import run_demo  # noqa: PLC0415

    raise typer.Exit(run_demo(scenario, wav, out, trace))


@app.command(epilog="Example: phonic-fsm replay call.jsonl --only tool,error")
def replay(
    trace: Annotated[Path, typer.Argument(help="A trace that a session has recorded.")],
    *,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Show steps of this kind only: state, speech, audio, tool, reply, connection, "
            "settings, chat, error. May be repeated, or hold several with commas between."
        ),
    ] = None,
    until: Annotated[
        int | None, typer.Option(min=1, help="Stop after this step. With --step: begin at it.")
    ] = None,
    step: Annotated[
        bool,
        typer.Option("--step", help="Go through the steps with the keyboard, forward and back."),
    ] = False,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Follow a session that is still running, until it is closed, and say when it "
            "hangs, and what it waits for.",
        ),
    ] = False,
    every_chunk: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Show each audio chunk on a line of its own. Without it, those in a row share "
            "a line.",
        ),
    ] = False,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Show events and effects whole. Without it, they are cut at the terminal's width.",
        ),
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object for each step, then the result.")
    ] = False,
    fail_on: Annotated[
        Literal["error", "warning", "note"] | None,
        typer.Option(
            "--fail-on", help="Exit 1 if something stands out that is as bad as this, or worse."
        ),
    ] = None,
    threshold: Thresholds = None,
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            "--what-if",
            metavar="CHANGE",
            help="Run the call with a change, and show what the machine does otherwise: "
            "'drop STEP', 'delay STEP SECONDS', 'edit STEP FIELD=VALUE' or 'option NAME=VALUE'. "
            "May be repeated.",
        ),
    ] = None,
) -> None:
    """Replay a trace: feed its events to the machine again, and compare every state and effect.

    At the end it says what stands out in the call, and why. Exit 0: all are identical. Exit 1: one
    differs, or --fail-on applies. Exit 2: the trace cannot be read.
    """
    if what_if:
        others: dict[str, object] = {"--step": step, "--follow": follow, "--only": only}
        others |= {"--until": until, "--all": every_chunk, "--fail-on": fail_on}
        others |= {"--threshold": threshold}
        used_alone("--what-if", others)
        from .what_if import run_what_if  # noqa: PLC0415

        raise typer.Exit(run_what_if(trace, what_if, full=full, as_json=json))
    if step:
        others = {"--follow": follow, "--json": json, "--full": full, "--fail-on": fail_on}
        used_alone("--step", others | {"--threshold": threshold})
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
        fail_on=fail_on,
        thresholds=tuple(threshold or ()),
    )
    raise typer.Exit(run_replay(trace, view))


@app.command(epilog="Example: phonic-fsm report call.jsonl --out call.html")
def report(
    trace: Annotated[
        Path, typer.Argument(help="A trace, or a directory: all traces in it and below.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="The HTML file to write. For a directory of traces: the directory for their "
            "pages, and for index.html, which lists them."
        ),
    ],
    threshold: Thresholds = None,
    log: Annotated[
        Path | None,
        typer.Option(
            help="The log of the process, JSON lines or text with timestamps (without a zone: this "
            "machine's). The page shows the lines from the time of the call, unless the trace is "
            "redacted."
        ),
    ] = None,
    pages: Annotated[
        Literal["all", "found"] | None,
        typer.Option(
            help="Of a directory: which calls get a page. All of them, which is the default, or "
            "those in which something was found."
        ),
    ] = None,
) -> None:
    """Write an HTML page that explains a recorded call. It needs no network.

    A directory gets an index first, and then a page for each trace, those with the worst findings
    first. The index links to the pages that are written; you may stop with Ctrl-C and run the
    command again, which only makes what is missing or has changed. Traces that cannot be read are
    named and left out.
    Exit 0: every trace replays identically. Exit 1: one differs. Exit 2: none can be read.
    """
    from .report import run_report  # noqa: PLC0415

    raise typer.Exit(run_report(trace, out, thresholds=threshold or (), log=log, pages=pages))


@app.command(epilog="Example: phonic-fsm watch traces/")
def watch(
    traces: Annotated[
        str,
        typer.Argument(
            help="A directory that sessions record to: all traces in it and below. Or Redis's "
            "address (redis://, rediss://): the journals of a fleet."
        ),
    ],
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port to listen on. 0: any free port.")
    ] = 8766,
    threshold: Thresholds = None,
) -> None:
    """Serve an index of calls on this machine, while they go on, until Ctrl-C.

    Running calls come first, each with its state and what it waits for. A call's page follows the
    call, and runs it again with changes. A call whose process was killed is told from a quiet one.
    With journals in Redis, the index also says which worker has each call.
    """
    from .watch import run_watch  # noqa: PLC0415

    raise typer.Exit(run_watch(traces, port, thresholds=threshold or ()))


@app.command(epilog="Example: phonic-fsm stats traces/")
def stats(
    traces: Annotated[
        list[Path], typer.Argument(help="Traces, or directories: all traces in them and below.")
    ],
    json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object for each trace, then the summary.")
    ] = False,
    fail_on: Annotated[
        Literal["error", "warning", "note"] | None,
        typer.Option(
            "--fail-on", help="Exit 1 if something stands out that is as bad as this, or worse."
        ),
    ] = None,
    threshold: Thresholds = None,
) -> None:
    """Measure recorded calls: time to ready, latencies, tools, interruptions, outages, findings.

    Traces that cannot be read are named and left out. Exit 1: --fail-on applies. Exit 2: none can
    be read.
    """
    from .stats import run_stats  # noqa: PLC0415

    raise typer.Exit(run_stats(traces, as_json=json, fail_on=fail_on, thresholds=threshold or ()))


@app.command(epilog="Example: phonic-fsm diff before.jsonl after.jsonl")
def diff(
    a: Annotated[Path, typer.Argument(help="A trace.")],
    b: Annotated[
        Path | None,
        typer.Argument(
            help="Another trace. Without it, A is compared with what this version's machine does."
        ),
    ] = None,
    *,
    times: Annotated[
        bool,
        typer.Option(
            "--times",
            help="Compare how long tools, answers, outages and the beginning took, too. Two times "
            "differ from 0.2 s and a fifth on.",
        ),
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(help="Write a page to this HTML file that shows both side by side."),
    ] = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Show events and values whole. Without it, they are cut at the terminal's width.",
        ),
    ] = False,
) -> None:
    """Show every step in which two traces differ. Ids and measured values may differ.

    Exit 0: no step differs. Exit 1: some do. Exit 2: a trace cannot be read.
    """
    if b is None and times:
        raise CommandFailed("--times needs two traces: the machine takes no time")
    if html is not None:
        used_alone("--html", {"--full": full})
    from .diff import run_diff  # noqa: PLC0415

    raise typer.Exit(run_diff(a, b, full=full, times=times, html=html))


@app.command(epilog="Example: phonic-fsm redact call.jsonl call.redacted.jsonl")
def redact(
    trace: Annotated[Path, typer.Argument(help="A trace that a session has recorded.")],
    out: Annotated[
        Path,
        typer.Argument(
            help="The file for the redacted trace. If its name ends in .gz, it is compressed."
        ),
    ],
) -> None:
    """Replace what was said, and whatever else may be private, with placeholders.

    The redacted trace still replays.
    """
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
        int, typer.Option(min=0, max=65535, help="The port to listen on. 0: any free port.")
    ] = 8765,
    scenario: Annotated[
        str, typer.Option(help="A shipped scenario's name, or a scenario file.")
    ] = "small-talk",
    doubt: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VARIANT",
            help="Choose how the simulator behaves where the service's behaviour is not known; "
            "all=other takes the second variant of each. --help lists them. May be repeated.",
        ),
    ] = None,
) -> None:
    """Run a server that speaks Phonic's protocol, until Ctrl-C."""
    from .simulate import run_simulate  # noqa: PLC0415

    raise typer.Exit(run_simulate(host, port, scenario, doubt or []))


@app.command(epilog="Example: phonic-fsm scenario call.jsonl --out call.json")
def scenario(
    trace: Annotated[Path, typer.Argument(help="A trace that a session has recorded.")],
    out: Annotated[
        Path | None,
        typer.Option(help="The file for the scenario, which must not exist. Without it: stdout."),
    ] = None,
) -> None:
    """Make a scenario of a recorded call: what the caller said, and what Phonic did.

    The simulator plays it against today's agent, in a test or with phonic-fsm simulate.
    """
    from .scenario import run_scenario  # noqa: PLC0415

    raise typer.Exit(run_scenario(trace, out))


@app.command(epilog="Example: phonic-fsm fetch call.jsonl")
def fetch(
    trace: Annotated[Path, typer.Argument(help="A trace that a session has recorded.")],
    base_url: Annotated[
        str | None,
        typer.Option(
            help="The server's address, such as that of the simulator. Without it: "
            "PHONIC_BASE_URL, else Phonic's own."
        ),
    ] = None,
) -> None:
    """Get Phonic's own record of a recorded call: transcripts, recording, latencies, tool calls.

    It asks for the conversation that the trace names, with the key in PHONIC_API_KEY, and writes
    call.phonic.json and call.phonic.wav beside call.jsonl. The page of phonic-fsm report then
    shows both sides of the call.

    Exit 1: Phonic has no such conversation, or refuses. Exit 2: there is no key, the trace names no
    conversation, or something is mistyped.
    """
    from .fetch import run_fetch  # noqa: PLC0415

    raise typer.Exit(run_fetch(trace, base_url))


@app.command(epilog="Example: phonic-fsm probe --only transcript --only error")
def probe(
    base_url: Annotated[
        str | None,
        typer.Option(
            help="The server's address, such as that of the simulator. Without it: "
            "PHONIC_BASE_URL, else Phonic's own."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write every message to this file, a JSON object a line. Without it: a file named "
            "by the time."
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Find out about this question only. May be repeated."),
    ] = None,
    agent: Annotated[
        str | None,
        typer.Option(
            help="The name of an agent at Phonic that has a welcome message, which one of the "
            "questions is about."
        ),
    ] = None,
) -> None:
    """Find out how Phonic behaves where nothing public says so.

    It holds some short conversations, for about a minute and a half, with the key in
    PHONIC_API_KEY, and prints for each open question what Phonic does. They count as conversations
    of your account.

    Exit 1: Phonic refuses. Exit 2: there is no key, or something is mistyped.
    """
    from .probe import run_probe  # noqa: PLC0415

    raise typer.Exit(run_probe(base_url, out, only or [], agent))


@app.command(epilog="Example: phonic-fsm guard journals/")
def guard(
    place: JournalsPlace,
) -> None:
    """Watch the journals of running calls, and ask LiveKit for a successor if a process dies.

    It asks the server in LIVEKIT_URL, with the key in LIVEKIT_API_KEY and LIVEKIT_API_SECRET, and
    runs until Ctrl-C. Several guards may watch the same journals: one of them acts, whichever is
    faster. A call whose caller has left is ended, and one that has ended three processes in a row
    is given up.
    """
    from .guard import run_guard  # noqa: PLC0415

    raise typer.Exit(run_guard(place))


@app.command(epilog="Example: phonic-fsm load --rooms 50 --ramp 20 --fail-on latency.p95=1.5")
def load(
    *,
    rooms: Annotated[int, typer.Option(min=1, help="Callers, each in a room of their own.")] = 10,
    ramp: Annotated[
        float,
        typer.Option(
            min=0, max=3600, help="The time over which they call, one after the other (s)."
        ),
    ] = 5.0,
    turns: Annotated[int, typer.Option(min=1, help="Questions that each caller asks.")] = 4,
    barge_in: Annotated[
        float,
        typer.Option(min=0, max=1, help="The share of questions asked in the answer before."),
    ] = 0.25,
    hang_up: Annotated[
        float,
        typer.Option(min=0, max=1, help="The share of callers who hang up in an answer."),
    ] = 0.1,
    patience: Annotated[
        float, typer.Option(min=1, max=3600, help="How long a caller waits for a voice (s).")
    ] = 30.0,
    greeting: Annotated[
        bool, typer.Option(help="Whether the agent speaks first, or waits for the caller.")
    ] = True,
    url: Annotated[
        str | None,
        typer.Option(
            help="The LiveKit server. Without it: LIVEKIT_URL if that is on this machine, else "
            "ws://127.0.0.1:7880."
        ),
    ] = None,
    agent_name: Annotated[
        str | None,
        typer.Option(help="The name of the worker to ask for. Without it: one that takes all."),
    ] = None,
    phonic_port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65535,
            help="The port at which Phonic is simulated. 0: not at all, as the worker is "
            "connected to another one.",
        ),
    ] = 8765,
    worker_pid: Annotated[
        int | None,
        typer.Option(help="The worker's process on this machine: its use is measured per call."),
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-on",
            metavar="FIGURE=MOST",
            help="Exit 1 if a figure is greater, such as latency.p95=1.5 or unanswered=0. May be "
            "repeated.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
) -> None:
    """Call your own worker many times at once, and measure what the callers hear.

    Start the worker first, with PHONIC_BASE_URL set to the simulator's address, which is
    ws://127.0.0.1:8765 unless --phonic-port says otherwise. LiveKit's key is taken from
    LIVEKIT_API_KEY and LIVEKIT_API_SECRET.

    A table is shown while the calls go on, and at their end. Ctrl-C ends all calls and prints the
    table so far. Exit 1: --fail-on applies. Exit 2: the server cannot be used, or something is
    mistyped.
    """
    from phonic_fsm._load.plan import Plan  # noqa: PLC0415

    from .load import Target, run_load  # noqa: PLC0415

    plan = Plan(
        rooms=rooms,
        ramp=ramp,
        turns=turns,
        barge_in=barge_in,
        hang_up=hang_up,
        patience=patience,
        greets=greeting,
    )
    target = Target(url, agent_name, phonic_port, worker_pid)
    raise typer.Exit(run_load(plan, target, fail_on or [], as_json=json))


@app.command(epilog="Example: phonic-fsm move lobby journals/")
def move(
    room: Annotated[str, typer.Argument(help="The room of the call.")],
    place: JournalsPlace,
) -> None:
    """Ask the process of a running call to have another one go on with it.

    The call moves once LiveKit has brought a successor into the room, when nobody speaks. This
    command only asks, and does not wait for it.
    """
    from .move import run_move  # noqa: PLC0415

    raise typer.Exit(run_move(room, place))


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
