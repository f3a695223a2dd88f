"""``phonic-fsm watch``: what it refuses. What it shows is in ``tests/report/test_watch.py``, whose
browser has an event loop of its own in the process."""

from __future__ import annotations

import socket

from support.commands import assert_is_one_line_and_exit_2, run


def test_what_cannot_be_watched_is_said_on_one_line(tmp_path):
    (tmp_path / "file.jsonl").touch()
    assert_is_one_line_and_exit_2(run("watch", tmp_path / "nowhere"), says="No such file")
    assert_is_one_line_and_exit_2(run("watch", tmp_path / "file.jsonl"), says="Not a directory")
    assert_is_one_line_and_exit_2(run("watch", tmp_path, "--port", "x"), says="--port")
    assert_is_one_line_and_exit_2(
        run("watch", tmp_path, "--threshold", "silence.waitng=5"), says="--threshold"
    )
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_is_one_line_and_exit_2(run("watch", tmp_path, "--port", port), says=f":{port}: ")
