"""The pytest plugin: the option ``--phonic-traces`` and the fixture ``phonic_simulator``.

pytest loads it in every environment that has the package, so it imports only what it needs, when
it needs it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..simulator import PhonicSimulator, Scenario

SUFFIXES = (".jsonl", ".jsonl.gz")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("phonic-fsm").addoption(
        "--phonic-traces",
        action="append",
        default=[],
        metavar="DIR",
        help="Replay every trace (*.jsonl, *.jsonl.gz) in DIR and below, each as a test.",
    )


def pytest_configure(config: pytest.Config) -> None:
    for directory in _directories(config):
        if not directory.is_dir():
            raise pytest.UsageError(f"--phonic-traces: there is no directory {directory}")
        if next(_traces(directory), None) is None:
            kinds = " or ".join(f"*{suffix}" for suffix in SUFFIXES)
            raise pytest.UsageError(f"--phonic-traces: there is no {kinds} in {directory}")


@pytest.hookimpl(tryfirst=True)  # before -k and the like select tests
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    found = {
        path: None for directory in _directories(session.config) for path in _traces(directory)
    }
    for path in found:
        # Not by passing the directory to pytest, which would also collect its other files.
        items.extend(session.genitems(TraceFile.from_parent(session, path=path)))


class TraceFile(pytest.File):
    """A trace, with one test in it."""

    def collect(self) -> Iterator[pytest.Item]:
        yield Replay.from_parent(self, name="replays")


class Replay(pytest.Item):
    def runtest(self) -> None:
        from ._traces import assert_replays  # noqa: PLC0415

        assert_replays(self.path)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from ..trace._reader import TraceError  # noqa: PLC0415

        if isinstance(excinfo.value, (AssertionError, TraceError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        # The heading of a failure: the file's name says more than the item's.
        return self.path, None, self.nodeid.removesuffix(f"::{self.name}")


@pytest.fixture
def phonic_simulator(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., AbstractAsyncContextManager[PhonicSimulator]]:
    """Makes simulators: ``async with phonic_simulator(...)``, with ``PhonicSimulator``'s arguments.

    While one is open, every ``RealtimeModel()`` connects to it.
    """
    from ..simulator import PhonicSimulator  # noqa: PLC0415

    @asynccontextmanager
    async def simulate(
        scenario: Scenario | str | Path = "small-talk", **options: Any
    ) -> AsyncIterator[PhonicSimulator]:
        async with PhonicSimulator(scenario, **options) as simulator:
            with monkeypatch.context() as environment:
                environment.setenv("PHONIC_API_KEY", "any")
                environment.setenv("PHONIC_BASE_URL", simulator.url)
                yield simulator

    return simulate


def _directories(config: pytest.Config) -> Iterator[Path]:
    for name in config.getoption("phonic_traces"):
        yield Path(os.path.abspath(config.invocation_params.dir / name))


def _traces(directory: Path) -> Iterator[Path]:
    for folder, _, names in sorted(os.walk(directory)):
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(SUFFIXES))
