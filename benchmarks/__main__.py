"""``python -m benchmarks``: measure, print, and fill the document in."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from phonic_fsm.testing import LiveKitMissing, LiveKitServer

from . import chunks, hostile, machine, many, meters, profiling, report, rooms, sessions
from .measuring import Benchmark, Result, Workers, run
from .server import running_server, trusted_certificate

BENCHMARKS: tuple[Benchmark, ...] = (
    *chunks.BENCHMARKS,
    *many.BENCHMARKS,
    *hostile.BENCHMARKS,
    *sessions.BENCHMARKS,
    *rooms.BENCHMARKS,
    *rooms.KEPT,
    *machine.BENCHMARKS,
    *meters.BENCHMARKS,
    *profiling.BENCHMARKS,
)


def main() -> None:
    options = _options()
    if options.write_docs:
        report.write_document(report.load(options.json or report.FIGURES))
        return
    taken = report.Report(_measure(options))
    if options.json:
        report.save(taken, options.json)
    print(report.rows(taken), report.rooms(taken), sep="\n\n")  # noqa: T201


def _options() -> argparse.Namespace:
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the essential, in a minute")
    parser.add_argument("--rounds", type=int, help="default: 5, or 3 with --quick")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--json", type=Path, help="keep the figures in this file")
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help=f"measure nothing; put the figures of --json ({report.FIGURES.name}) into "
        f"{report.DOCUMENT.name} and draw {report.PLOT.name}",
    )
    options = parser.parse_args()
    figures = options.json or report.FIGURES
    if options.write_docs and not figures.is_file():
        parser.error(f"there are no figures in {figures}; measure first, with --json")
    if not options.write_docs and shutil.which("openssl") is None:
        parser.error("openssl is not there, which makes the server's certificate")
    return options


def _measure(options: argparse.Namespace) -> dict[str, Result]:
    results: dict[str, Result] = {}
    rounds = options.rounds or (3 if options.quick else 5)
    workers = Workers()
    try:
        with (
            trusted_certificate() as certificate,
            running_server() as url,
            running_server(certificate) as tls_url,
        ):
            for benchmark in BENCHMARKS:
                if _is_wanted(benchmark, options):
                    results[benchmark.name] = run(
                        benchmark,
                        workers,
                        tls_url if benchmark.tls else url,
                        rounds=rounds,
                        quick=options.quick,
                    )
    finally:
        workers.close()
    return results


def _is_wanted(benchmark: Benchmark, options: argparse.Namespace) -> bool:
    if options.only and benchmark.name not in options.only:
        return False
    if options.quick and benchmark.quick is None:
        return False
    if benchmark.livekit:
        try:
            LiveKitServer()
        except LiveKitMissing as missing:
            print(f"{benchmark.name} is left out: {missing}", file=sys.stderr)  # noqa: T201
            return False
    return True


if __name__ == "__main__":
    main()
