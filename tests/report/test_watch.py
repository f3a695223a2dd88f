"""``phonic-fsm watch``: the index and the pages of calls that go on, in a real browser."""

from __future__ import annotations

import http.client
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect
from support.browser import (
    NARROW,
    VIEWS,
    WIDE,
    assert_axe_finds_nothing,
    assert_tab_reaches_and_shows_all_controls,
)
from support.commands import start
from support.processes import LONGEST
from support.recording_process import recording
from support.written_traces import Told, assistant, caller, opening, tool, write

from phonic_fsm._core.events import Close, Event, ReplyOverdue
from phonic_fsm._wire import server


def events(*told: list[Told]) -> list[Event]:
    return [event for part in told for _, event in part]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where workers write: calls that are over, one of them answered late, and what is no trace."""
    folder = tmp_path / "traces"
    (folder / "second").mkdir(parents=True)
    for name, latency in (("over", 0.5), ("second/late", 8.0)):
        told = [*opening(), *caller(2.0, 3.0), *assistant(2.9 + latency, "Hi.")]
        write(folder / f"{name}.jsonl", told, close=14.0)
    (folder / "nonsense.jsonl").write_text("nonsense\n")
    (folder / "readme.txt").write_text("no trace\n")
    return folder


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    with start("watch", folder, "--port", 0) as process:
        line = process.stdout.readline()
        assert "Ctrl-C ends it" in line, process.stderr.read()
        yield next(word for word in line.split() if word.startswith("http://")).rstrip(";")


@pytest.fixture
def show(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens a page of the server; whatever it complains about, or asks others for, is a fault."""
    contexts, complaints, asked = [], [], []

    def show(path: str = "", **options: Any) -> Page:
        context = browser.new_context(**{"viewport": WIDE, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address + path)
        return page

    yield show
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith(address)] == []


def names(page: Page) -> list[str]:
    return page.locator(".call :is(a, .name)").all_text_contents()


# -- the index -----------------------------------------------------------------------------------


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_index_follows_a_call_from_its_beginning_to_its_end(viewport, folder, show):
    page = show(viewport=viewport)
    expect(page.locator(".call")).to_have_count(3)
    assert names(page)[-1] == "over.jsonl"
    with recording(folder / "live.jsonl") as call:
        call.take(*events(opening(), caller(2, 3)))
        row = page.locator(".call").first
        expect(row.locator("a")).to_have_text("live.jsonl")
        expect(row.locator(".standing")).to_contain_text("ready: waits for Phonic's answer, ")
        expect(page.locator("#about")).to_contain_text("4 calls, 1 running")
        call.take(server.ToolCall("call_1", "get_weather", {"city": "Paris"}))
        expect(row.locator(".standing")).to_contain_text(
            "tool pending: waits for the output of get_weather, "
        )
        call.take(Close())
        expect(page.locator("#about")).to_contain_text("4 calls, 0 running")
        expect(page.locator(".standing")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


def test_a_killed_process_is_told_from_a_quiet_one(folder, show):
    page = show()
    with recording(folder / "quiet.jsonl") as quiet, recording(folder / "killed.jsonl") as killed:
        quiet.take(*events(opening()))
        killed.take(*events(opening(), tool(2, 3)[:1]))
        expect(page.locator(".standing.running")).to_have_count(2)
        killed.kill()
        expect(page.locator(".standing.killed")).to_have_text("killed in tool pending")
        expect(page.locator(".standing.running")).to_have_count(1)
        page.locator("#search").fill("killed")
        expect(page.locator("#shown")).to_have_text("1 of 5")
        page.get_by_role("link", name="killed.jsonl").click()
        expect(page.locator("#standing")).to_contain_text("no process writes this trace any more")


def test_what_is_removed_or_replaced_is_so_in_the_index(folder, show):
    page = show()
    expect(page.locator(".call")).to_have_count(3)
    (folder / "nonsense.jsonl").unlink()
    expect(page.locator(".call")).to_have_count(2)
    expect(page.locator(".call", has_text="over.jsonl")).not_to_contain_text("did not answer")
    late = (folder / "second" / "late.jsonl").read_bytes()
    (folder / "over.jsonl").write_bytes(late)
    expect(page.locator(".call", has_text="over.jsonl")).to_contain_text("Phonic did not answer")


def test_a_link_keeps_the_focus_while_the_index_changes(folder, show):
    page = show()
    page.get_by_role("link", name="over.jsonl").focus()
    write(folder / "another.jsonl", opening(), close=1.0)
    expect(page.locator(".call")).to_have_count(4)
    assert page.evaluate("document.activeElement.title") == "over.jsonl"


# -- a call's page -------------------------------------------------------------------------------


def test_a_page_follows_its_call_until_the_end(folder, show):
    with recording(folder / "live.jsonl") as call:
        call.take(*events(opening(), caller(2, 3, "What is the weather?")))
        page = show()
        page.get_by_role("link", name="live.jsonl").click()
        expect(page.locator("#chosen-title")).to_have_text("Step 8")
        expect(page.locator("#standing")).to_contain_text(
            "Running: ready, waits for Phonic's answer"
        )
        expect(page.locator(".finding", has_text="The trace just ends")).to_have_count(0)
        call.take(server.ToolCall("call_1", "get_weather", {"city": "Paris"}))
        expect(page.locator("#chosen-title")).to_have_text("Step 9")
        expect(page.locator("#talk")).to_contain_text("get_weather")
        expect(page.locator("#standing")).to_contain_text("waits for the output of get_weather")
        call.take(Close())
        expect(page.locator("#chosen-title")).to_have_text("Step 10")
        expect(page.locator("#standing")).to_be_empty()


def test_a_page_waits_for_its_reader(folder, show):
    with recording(folder / "live.jsonl") as call:
        call.take(*events(opening()))
        page = show("call/live.jsonl")
        expect(page.locator("#chosen-title")).to_have_text("Step 5")
        page.keyboard.press("Home")
        expect(page.locator("#chosen-title")).to_have_text("Step 1")
        call.take(server.UserStartedSpeaking())
        more = page.get_by_role("button", name="More has come")
        expect(more).to_be_visible()
        expect(page.locator("#chosen-title")).to_have_text("Step 1")
        more.click()
        expect(page.locator("#chosen-title")).to_have_text("Step 6")


def test_a_call_that_diverges_is_followed_without_what_it_waits_for(folder, show):
    path = folder / "live.jsonl"
    with recording(path) as call:
        call.take(*events(opening()))
        lines = path.read_bytes().splitlines()
        other = json.loads(lines[5]) | {"to": "listening"}
        path.write_bytes(b"\n".join([*lines[:5], json.dumps(other).encode(), b""]))
        page = show()
        expect(page.locator(".standing.running")).to_contain_text("listening: ")


# -- what if -------------------------------------------------------------------------------------


def test_a_page_runs_its_call_again_with_changes(folder, show):
    told = [*opening(), *caller(2, 3), *tool(3.2, 7.2), *assistant(7.5, "It is ", "sunny.")]
    write(folder / "call.jsonl", told, close=9.0)
    page = show("call/call.jsonl#step=9")
    page.get_by_role("button", name="Drop step 9, tool_call").click()
    expect(page.locator("#otherwise")).to_contain_text("out otherwise; it ends in closed")
    first = page.locator(".other").first
    expect(first).to_contain_text("update_chat_ctx")
    expect(first).to_contain_text("recorded step 10")
    expect(first).to_contain_text("tool pending → speaking")
    page.get_by_role("button", name="Take back").click()
    expect(page.locator(".other")).to_have_count(0)
    page.locator("#steps .row", has_text="input_text").click()
    page.get_by_label("Field of the event").select_option("text")
    page.get_by_label("Its value").first.fill("Goodbye.")
    page.get_by_role("button", name="Edit", exact=True).click()
    expect(page.locator("#otherwise")).to_have_text(
        "1 step comes out otherwise; it ends in closed."
    )
    expect(page.locator(".other")).to_contain_text("Goodbye.")
    page.get_by_label("Delay step 8 by").fill("-1")
    expect(page.locator("#changes li")).to_have_count(1)


def test_a_setting_is_changed_and_a_timer_runs_out(folder, show):
    told: list[Told] = [*opening(), *caller(2, 3), *tool(4, 5)]
    write(folder / "call.jsonl", [*opening(), *told[5:], (8.0, ReplyOverdue())], close=60.0)
    page = show("call/call.jsonl")
    page.get_by_label("Setting", exact=True).select_option("reply_timeout")
    page.locator("#set").fill("nonsense")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(page.locator("#otherwise")).to_contain_text("option reply_timeout: Expected `float`")
    page.get_by_role("button", name="Take back").click()
    page.locator("#set").fill("4")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(page.locator("#alternative")).to_contain_text("this timer did not run out here")


# -- for people who use a keyboard or a screen reader ---------------------------------------------


@pytest.mark.parametrize("view", VIEWS)
def test_what_only_a_watched_call_has_is_for_everybody(view, folder, show):
    with recording(folder / "live.jsonl") as live, recording(folder / "killed.jsonl") as killed:
        live.take(*events(opening(), tool(2, 3)[:1]))
        killed.take(*events(opening()))
        killed.kill()
        page = show(**view, reduced_motion="reduce")
        expect(page.locator(".standing")).to_have_count(2)
        assert_fits(page, view)
        assert_tab_reaches_and_shows_all_controls(page)
        page.get_by_role("link", name="live.jsonl").click()
        expect(page.locator("#chosen-title")).to_have_text("Step 6")
        page.get_by_role("button", name="Drop step 6, tool_call").click()
        expect(page.locator("#otherwise")).to_contain_text("out otherwise")
        expect(page.locator("#standing")).to_contain_text("Running")
        page.keyboard.press("Home")
        live.take(server.UserStartedSpeaking())
        expect(page.locator("#more")).to_be_visible()
        assert_fits(page, view)
        page.locator(".skip").focus()
        page.keyboard.press("Shift+Tab")
        assert_tab_reaches_and_shows_all_controls(page)


def assert_fits(page: Page, view: dict[str, Any]) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= view["viewport"]["width"]
    assert_axe_finds_nothing(page)


def test_what_if_is_asked_by_keyboard(folder, show):
    told = [*opening(), *caller(2, 3), *tool(3.2, 7.2), *assistant(7.5, "It is ", "sunny.")]
    write(folder / "call.jsonl", told, close=9.0)
    page = show("call/call.jsonl#step=9")
    page.get_by_role("button", name="Drop step 9, tool_call").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#changes li")).to_have_count(1)
    page.get_by_label("Delay step 9 by").focus()
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    expect(page.locator("#changes li")).to_have_count(2)
    page.get_by_role("button", name="Take back").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#changes li")).to_have_count(1)
    expect(page.get_by_role("button", name="Take back")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#changes li")).to_have_count(0)
    expect(page.get_by_role("button", name="Drop step 9, tool_call")).to_be_focused()


# -- who may ask, and for what -------------------------------------------------------------------


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage


def ask(address: str, path: str, method: str = "GET", **headers: str) -> Answer:
    with closing(http.client.HTTPConnection(urlsplit(address).netloc, timeout=LONGEST)) as server:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        server.request(method, path, headers=named)
        with server.getresponse() as answer:
            return Answer(answer.status, answer.headers)


def test_a_name_that_leads_to_loopback_is_refused(address):
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", ""):
        assert ask(address, "/", Host=host).status in (400, 403), host


def test_loopback_is_served(address):
    for host in ("127.0.0.1", "localhost:1234"):
        answer = ask(address, "/", Host=host)
        assert answer.status == 200, host
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
        assert not [name for name in answer.headers if name.startswith("Access-Control")]


def test_another_site_gets_nothing_but_may_lead_here(address):
    assert ask(address, "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="cors").status == 403
    assert (
        ask(address, "/changes", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="cors").status == 403
    )
    assert ask(address, "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status == 200


def test_only_traces_in_the_folder_are_served(folder, tmp_path, address, show):
    outside = write(tmp_path / "outside.jsonl", opening(), close=1.0)
    (folder / "link.jsonl").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    expect(show().locator(".call")).to_have_count(3)
    for path in (
        "link.jsonl",
        "../outside.jsonl",
        "%2e%2e/outside.jsonl",
        "readme.txt",
        str(outside),
    ):
        for kind in ("call", "changes"):
            assert ask(address, f"/{kind}/{path}").status == 404
    assert ask(address, "/call/over.jsonl").status == 200


def test_a_question_that_is_none_is_refused(address, show):
    expect(show().locator(".call")).to_have_count(3)
    assert ask(address, "/what-if/over.jsonl", "POST").status == 400
    assert ask(address, "/what-if/nowhere.jsonl", "POST").status == 404


# -- the command ---------------------------------------------------------------------------------


def test_it_ends_cleanly_at_ctrl_c(folder):
    with start("watch", folder, "--port", 0) as process:
        address = process.stdout.readline().split(" at ")[1].split(";")[0]
        assert ask(address, "/").status == 200
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=LONGEST)
    assert (process.returncode, out, errors) == (0, "", "")


def test_a_threshold_says_what_stands_out(folder, show):
    with start("watch", folder, "--port", 0, "--threshold", "silence.waiting=30") as process:
        address = process.stdout.readline().split(" at ")[1].split(";")[0]
        with closing(
            http.client.HTTPConnection(urlsplit(address).netloc, timeout=LONGEST)
        ) as asked:
            asked.request("GET", "/call/second/late.jsonl")
            page = asked.getresponse().read().decode()
    assert "Phonic did not answer" not in page
    page = show("call/second/late.jsonl")
    expect(page.locator("#findings")).to_contain_text("Phonic did not answer")
