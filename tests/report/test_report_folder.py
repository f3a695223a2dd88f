"""A directory of calls: its index, its pages, and what a second run makes anew."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from support.commands import assert_is_one_line_and_exit_2, run, start
from support.processes import LONGEST
from support.record_traces import TRACES

from phonic_fsm._cli.traces import FEW

HEALTHY, FAULTY = "normal_turn", "server_error"


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    """A healthy call, and one in which something was found, in a folder of its own."""
    folder = tmp_path / "traces"
    (folder / "monday").mkdir(parents=True)
    shutil.copy(TRACES / f"{HEALTHY}.jsonl", folder / "healthy.jsonl")
    with gzip.open(folder / "monday" / "faulty.jsonl.gz", "wb") as file:
        file.write((TRACES / f"{FAULTY}.jsonl").read_bytes())
    return folder


def listed(out: Path) -> dict[str, dict[str, Any]]:
    """The rows of the index: the call's page, and the titles of what was found."""
    text = (out / "index.html").read_text(encoding="utf-8")
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert data is not None
    return {
        name: {"page": page, "found": [title for _, title in found]}
        for name, page, _, _, _, _, found, *_ in json.loads(data[1])["rows"]
    }


def pages(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*.html")} - {"index.html"}


def assert_links_lead_to_pages(out: Path) -> None:
    assert {row["page"] for row in listed(out).values()} - {""} == pages(out)


def diverging(trace: Path, path: Path) -> None:
    path.write_bytes(trace.read_bytes().replace(b'"to":"ready"', b'"to":"listening"'))


def cut_off(trace: Path, path: Path) -> None:
    path.write_bytes(trace.read_bytes()[:-20])


def test_a_directory_gets_an_index_and_a_page_for_each_trace(traces, tmp_path):
    out = tmp_path / "pages"
    result = run("report", traces, "--out", out)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"2 calls: 1 with a warning; see {out / 'index.html'}\n"
    assert pages(out) == {"healthy.jsonl.html", "monday/faulty.jsonl.gz.html"}
    assert_links_lead_to_pages(out)
    assert 'href="../index.html"' in (out / "monday" / "faulty.jsonl.gz.html").read_text("utf-8")


def test_only_what_was_found_gets_a_page_if_that_is_asked_for(traces, tmp_path):
    out = tmp_path / "pages"
    for _ in range(2):
        assert run("report", traces, "--out", out, "--pages", "found").returncode == 0
        assert set(listed(out)) == {"healthy.jsonl", "monday/faulty.jsonl.gz"}
        assert pages(out) == {"monday/faulty.jsonl.gz.html"}
        assert_links_lead_to_pages(out)
    assert run("report", traces, "--out", out).returncode == 0
    assert len(pages(out)) == 2
    assert_links_lead_to_pages(out)


def test_pages_are_of_a_directory(tmp_path):
    trace = TRACES / f"{HEALTHY}.jsonl"
    result = run("report", trace, "--out", tmp_path / "call.html", "--pages", "all")
    assert_is_one_line_and_exit_2(result, says="--pages is for a directory")


def test_a_second_run_makes_only_what_has_changed(traces, tmp_path):
    out = tmp_path / "pages"

    def made_anew(*options: str) -> set[str]:
        """Pages that the command writes. It meets all of them with a mark."""
        for page in pages(out):
            (out / page).write_text("<!doctype html>mark", encoding="utf-8")
        assert run("report", traces, "--out", out, *options).returncode == 0
        assert_links_lead_to_pages(out)
        return {page for page in pages(out) if "mark" not in (out / page).read_text("utf-8")[:20]}

    assert len(made_anew()) == 2
    assert made_anew() == set()
    shutil.copy(TRACES / "goodbye.jsonl", traces / "healthy.jsonl")
    assert made_anew() == {"healthy.jsonl.html"}
    (traces / "monday" / "faulty.phonic.json").write_text("{}")
    assert made_anew() == {"monday/faulty.jsonl.gz.html"}
    (out / "healthy.jsonl.html").unlink()
    assert made_anew() == {"healthy.jsonl.html"}
    assert len(made_anew("--threshold", "slow-start.seconds=9")) == 2
    (traces / "healthy.jsonl").unlink()
    assert run("report", traces, "--out", out).returncode == 0
    assert set(listed(out)) == {"monday/faulty.jsonl.gz"}


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_leaves_an_index_that_is_right_and_the_next_run_goes_on(traces, tmp_path, how, code):
    out, record = tmp_path / "pages", traces / "healthy.phonic.json"
    os.mkfifo(record)
    with start("report", traces, "--out", out) as process:
        with record.open("wb"):  # opens when the page is begun that comes last
            process.send_signal(how)
            _, errors = process.communicate()
        assert (process.returncode, errors) == (code, "")
    record.unlink()
    assert listed(out)["healthy.jsonl"]["page"] == ""
    assert_links_lead_to_pages(out)
    (written,) = pages(out)
    (out / written).write_text("<!doctype html>mark", encoding="utf-8")
    assert run("report", traces, "--out", out).returncode == 0
    assert len(pages(out)) == 2
    assert_links_lead_to_pages(out)
    assert (out / written).read_text("utf-8").endswith("mark"), "written in the first run"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_processes_that_write_pages_end_with_the_command(traces, tmp_path, how):
    for number in range(FEW):
        shutil.copy(TRACES / f"{HEALTHY}.jsonl", traces / f"{number}.jsonl")
    record = traces / "monday" / "faulty.phonic.json"
    os.mkfifo(record)
    with (
        start("report", traces, "--out", tmp_path / "pages") as process,
        record.open("wb"),  # opens when the page is begun that comes first
    ):
        process.send_signal(how)
        # The other processes have the same stderr, which ends with the last of them.
        process.communicate(timeout=LONGEST)


def test_the_index_is_right_even_if_a_page_cannot_be_written(traces, tmp_path):
    out = tmp_path / "pages"
    (out / "healthy.jsonl.html").mkdir(parents=True)
    result = run("report", traces, "--out", out)
    assert result.returncode == 2
    assert result.stderr.endswith(f"{out / 'healthy.jsonl.html'}: Is a directory\n")
    rows = listed(out)
    assert rows["healthy.jsonl"]["page"] == ""
    assert rows["monday/faulty.jsonl.gz"]["page"] == "monday/faulty.jsonl.gz.html"


def test_what_diverges_or_ends_early_is_told_in_every_run(traces, tmp_path):
    out = tmp_path / "pages"
    diverging(TRACES / f"{HEALTHY}.jsonl", traces / "differs.jsonl")
    cut_off(TRACES / f"{HEALTHY}.jsonl", traces / "cut.jsonl")
    (traces / "nonsense.jsonl").write_text("nonsense")
    for _ in range(2):
        result = run("report", traces, "--out", out)
        assert result.returncode == 1
        assert f"diverged at step 5; see {out / 'differs.jsonl.html'}\n" in result.stdout
        assert "nonsense.jsonl: line 1 is not a trace's header" in result.stderr
        assert re.search(r"cut\.jsonl: line \d+ is cut off .* has the steps before", result.stderr)
        rows = listed(out)
        assert rows["differs.jsonl"]["found"][0] == "The replay diverges"
        assert rows["cut.jsonl"]["found"][0] == "The file cannot be read further"
        assert set(rows) == {
            "healthy.jsonl",
            "monday/faulty.jsonl.gz",
            "differs.jsonl",
            "cut.jsonl",
        }


@pytest.mark.parametrize("nothing", ["nonsense", "cut off"])
def test_a_directory_without_a_readable_trace_fails(nothing, tmp_path):
    folder = tmp_path / "traces"
    folder.mkdir()
    if nothing == "nonsense":
        (folder / "call.jsonl").write_text("nonsense")
    else:
        cut_off(TRACES / f"{HEALTHY}.jsonl", folder / "call.jsonl")
    result = run("report", folder, "--out", tmp_path / "pages")
    assert result.returncode == 2
    last = result.stderr.splitlines()[-1]
    assert last == "phonic-fsm: not one trace can be read to its end"
