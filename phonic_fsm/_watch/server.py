"""The pages, and streams of what changes, for the browsers of this machine alone.

It listens on loopback. A page from elsewhere may still make a browser ask this server, under a name
that it lets lead to loopback: so a request must name loopback as its host, and a browser must not
say that it comes from another site. Only calls that the source has are served.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import anyio
import msgspec
from aiohttp import web
from anyio import to_thread
from msgspec import Struct

from phonic_fsm._report.index import Row, make_index
from phonic_fsm._report.page import Watched, make_report
from phonic_fsm._report.rules import RULES, Rule
from phonic_fsm.trace._reader import TraceError
from phonic_fsm.trace._what_if import ChangeError

from .alternative import Alternative, run_again
from .calls import CALL, Calls
from .running import while_running
from .source import Source

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
"""The hosts that a request may name."""

PAUSE = 0.5
"""The least seconds between two looks at the source. A look that takes long is followed by a pause
four times as long, unless there is more to read."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""What every answer carries. A page's own policy stands in the page."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Changes(Struct):
    """What has changed in the index since the browser was last told."""

    rows: list[Row]
    gone: list[str]
    found: int


class _Question(Struct):
    """What would have happened with these changes?"""

    changes: list[str]


class _Refusal(Struct):
    """The changes cannot be made."""

    problem: str


@asynccontextmanager
async def serving(source: Source, port: int, rules: Sequence[Rule] = RULES) -> AsyncIterator[str]:
    """Serve until the block ends; gives the address. ``rules`` say what stands out in a call.

    Raises:
        OSError: the port is taken.
    """
    pages = _Pages(source, rules)
    runner = web.AppRunner(
        pages.application(), access_log=None, handler_cancellation=True, shutdown_timeout=0.1
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port, reuse_address=True).start()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pages.keep_looking)
            yield f"http://{HOST}:{runner.addresses[0][1]}/"
            tasks.cancel_scope.cancel()
    finally:
        pages.stop()
        await runner.cleanup()


class _Pages:
    def __init__(self, source: Source, rules: Sequence[Rule]) -> None:
        self._source = source
        self._rules = rules
        self._calls = Calls(source, rules)

    def application(self) -> web.Application:
        application = web.Application(middlewares=[_guarded])
        application.add_routes(
            [
                web.get("/", self.index),
                web.get("/changes", self.changes),
                web.get(f"/{CALL}{{name:.+}}", self.call),
                web.get("/changes/{name:.+}", self.changes_of_call),
                web.post("/what-if/{name:.+}", self.what_if),
            ]
        )
        application.on_response_prepare.append(_add_headers)
        return application

    async def keep_looking(self) -> None:
        while True:
            began = time.monotonic()
            is_all = await to_thread.run_sync(self._calls.look, abandon_on_cancel=True)
            took = time.monotonic() - began
            await anyio.sleep(max(PAUSE, 4 * took) if is_all else 0)

    def stop(self) -> None:
        """End the look that is under way."""
        self._calls.stop()

    async def index(self, _: web.Request) -> web.StreamResponse:
        # All calls come with the first of the changes.
        return _page(make_index((), changes="/changes"))

    async def changes(self, request: web.Request) -> web.StreamResponse:
        """A stream of events, each with what has changed since the one before."""
        stream = await _Stream.to(request)
        told: dict[str, Row] = {}
        found = -1
        while True:
            rows = self._calls.rows()
            changed = [row for name, row in rows.items() if told.get(name) is not row]
            gone = list(told.keys() - rows.keys())
            if changed or gone or found != self._calls.found:
                found = self._calls.found
                await stream.send(_Changes(changed, gone, found))
            told = rows
            await anyio.sleep(PAUSE)

    async def call(self, request: web.Request) -> web.StreamResponse:
        name = await self._named(request)

        def made() -> str:
            row = self._calls.rows().get(name)
            goes_on = row.life == "running" if row else self._source.is_recorded(name)
            watched = Watched(
                goes_on=goes_on,
                changes=f"/changes/{quote(name)}",
                what_if=f"/what-if/{quote(name)}",
            )
            rules = while_running(self._rules) if goes_on else self._rules
            trace = self._source.open(name)
            return make_report(trace, index="/", rules=rules, watched=watched).html

        try:
            return _page(await to_thread.run_sync(made))
        except TraceError as problem:
            raise web.HTTPNotFound(text=f"{problem}\n") from problem

    async def changes_of_call(self, request: web.Request) -> web.StreamResponse:
        """A stream of the call's rows, each when it has changed."""
        name = await self._named(request)
        stream = await _Stream.to(request)
        told: Row | None = None
        while True:
            row = self._calls.rows().get(name)
            if row is not None and row is not told:
                await stream.send(row)
                told = row
            await anyio.sleep(PAUSE)

    async def what_if(self, request: web.Request) -> web.StreamResponse:
        name = await self._named(request)
        try:
            question = msgspec.json.decode(await request.read(), type=_Question)
        except (msgspec.DecodeError, UnicodeError) as problem:
            raise web.HTTPBadRequest(text=f"{problem}\n") from problem

        def answered() -> Alternative:
            return run_again(self._source.open(name), question.changes)

        answer: Alternative | _Refusal
        try:
            answer = await to_thread.run_sync(answered)
        except (ChangeError, TraceError) as problem:
            answer = _Refusal(str(problem))
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    async def _named(self, request: web.Request) -> str:
        """The call that the address names, if there is such a call."""
        name = request.match_info["name"]
        if name in self._calls.rows() or name in await to_thread.run_sync(self._source.versions):
            return name
        raise web.HTTPNotFound(text="there is no such call\n")


def _page(html: str) -> web.Response:
    return web.Response(text=html, content_type="text/html", charset="utf-8")


class _Stream:
    """Server-sent events, until the browser leaves: then the handler is cancelled."""

    def __init__(self, response: web.StreamResponse) -> None:
        self._response = response

    @classmethod
    async def to(cls, request: web.Request) -> _Stream:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        return cls(response)

    async def send(self, value: Any) -> None:
        await self._response.write(b"data: " + msgspec.json.encode(value) + b"\n\n")


@web.middleware
async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    name = request.host.rpartition(":")[0] or request.host
    # A link that leads here from elsewhere may be followed; nothing else may come from there.
    foreign = (
        request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
        and request.headers.get("Sec-Fetch-Mode") != "navigate"
    )
    if name not in NAMES or foreign:
        raise web.HTTPForbidden(text="this page is for this machine's browsers\n")
    return await handler(request)


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
