"""The format as it is documented: the schema, the reader's patience, and the jq of the document."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from support import processes
from support.record_traces import TRACES
from support.recorded import lines_of, whole_call

from phonic_fsm.trace import TraceCutOff, TraceError, TraceReader, replay, schema
from phonic_fsm.trace._levels import levels

DOCS = Path(__file__).parent.parent.parent / "docs"
SCHEMA = json.loads((DOCS / "trace.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
RECORDED = sorted(TRACES.glob("*.jsonl"))


def test_the_schema_is_that_of_the_types():
    Draft202012Validator.check_schema(SCHEMA)
    assert schema() == SCHEMA, "make it again: python docs/generate.py"


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_recorded_traces_are_as_the_schema_says(path):
    for line in lines_of(path):
        VALIDATOR.validate(line)


@pytest.mark.anyio
@pytest.mark.parametrize("options", [{}, {"redact_trace": True}, {"trace_audio": True}], ids=str)
async def test_what_is_recorded_now_is_as_the_schema_says(options, make_model, server, tmp_path):
    path = tmp_path / "call.jsonl"
    await whole_call(lambda **given: make_model(**options, **given), server, path)
    for line in lines_of(path):
        VALIDATOR.validate(line)


@pytest.mark.parametrize(
    "line",
    [
        {},
        {"trace": "phonic-fsm", "version": 2, "package": "1", "started": "", "settings": {}},
        {"seq": 1, "t": 0.1, "from": "ready", "to": "ready", "effects": []},
        {
            "seq": 1,
            "t": 0.1,
            "event": {"type": "dance"},
            "from": "ready",
            "to": "ready",
            "effects": [],
        },
        {
            "seq": 1,
            "t": 0.1,
            "event": {"type": "open"},
            "from": "dancing",
            "to": "ready",
            "effects": [],
        },
        {"end": "tired", "seq": 4},
    ],
    ids=["nothing", "version", "no event", "unknown event", "unknown state", "unknown end"],
)
def test_the_schema_refuses_what_is_no_line(line):
    assert not VALIDATOR.is_valid(line)


def test_the_schema_allows_fields_of_later_versions():
    line = lines_of(TRACES / "say.jsonl")[3]
    line["later"] = line["event"]["later"] = 5
    VALIDATOR.validate(line)


def test_an_end_is_a_line_and_the_last(tmp_path):
    end = {"end": "overrun", "seq": 1, "later": 5}
    VALIDATOR.validate(end)
    header, first, second = (TRACES / "say.jsonl").read_text().splitlines()[:3]
    path = tmp_path / "call.jsonl"
    path.write_text("\n".join((header, first, json.dumps(end), second, "")))
    assert [line.seq for line in TraceReader(path)] == [1]
    assert [step.difference for step in replay(path)] == [None]


@pytest.fixture(scope="module")
def flushed() -> list[bytes]:
    """A gzip trace as it is on disk, flush by flush; the last part has its end."""
    compressor = zlib.compressobj(1, wbits=31)
    lines = (TRACES / "tool_call.jsonl").read_bytes().splitlines(keepends=True)
    parts = [compressor.compress(line) + compressor.flush(zlib.Z_SYNC_FLUSH) for line in lines]
    return [*parts, compressor.flush()]


def test_a_gzip_trace_without_its_end_is_read_to_its_last_flush(flushed, tmp_path):
    path = tmp_path / "call.jsonl.gz"
    path.write_bytes(b"".join(flushed[:5]))
    assert [line.seq for line in TraceReader(path)] == [1, 2, 3, 4]


def test_a_gzip_trace_that_is_cut_off_anywhere_gives_its_whole_lines(flushed, tmp_path):
    path = tmp_path / "call.jsonl.gz"
    whole = b"".join(flushed)
    header = len(flushed[0])
    for size in range(header, len(whole), 7):
        path.write_bytes(whole[:size])
        sizes = [sum(map(len, flushed[: number + 2])) for number in range(len(flushed) - 2)]
        seen = []
        with suppress(TraceCutOff):
            seen += (line.seq for line in TraceReader(path))
        reached = sum(size >= flush for flush in sizes)
        assert seen in ([*range(1, reached + 1)], [*range(1, reached + 2)])


@pytest.mark.parametrize(
    "damage",
    [b"not gzip at all\n", gzip.compress(b"x")[:12] + b"\xff" * 40],
    ids=["not gzip", "damaged"],
)
def test_what_is_not_gzip_or_damaged_is_refused_with_a_reason(damage, tmp_path):
    path = tmp_path / "call.jsonl.gz"
    path.write_bytes(damage)
    with pytest.raises(TraceError, match=re.escape(str(path))):
        list(TraceReader(path))


@given(st.lists(st.binary(max_size=64).map(lambda pcm: pcm[: len(pcm) // 2 * 2]), max_size=5))
def test_levels_of_chunks_are_those_of_each_alone(chunks):
    together = levels(b"".join(chunks), [len(chunk) // 2 for chunk in chunks])
    assert together == [levels(chunk, [len(chunk) // 2])[0] for chunk in chunks]


def test_levels():
    full, half = b"\x00\x80" * 10, b"\x00\xc0" * 10
    assert levels(full + half + bytes(20), [10, 10, 10, 0]) == [0.0, -6.0, None, None]


JQ = re.findall(r"```sh\n(jq .*)\n```", (DOCS / "trace-format.md").read_text(encoding="utf-8"))


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
@pytest.mark.parametrize("command", JQ)
def test_the_documents_jq_finds_something(command, tmp_path):
    shutil.copy(TRACES / "tool_call.jsonl", tmp_path / "call.jsonl")
    result = processes.run("sh", "-c", command, cwd=tmp_path)
    assert result.stdout
    assert result.stderr == ""


def test_the_document_has_jq():
    assert len(JQ) == 3
