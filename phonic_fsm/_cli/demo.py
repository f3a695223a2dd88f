"""``phonic-fsm demo``: checks its files, holds the conversation, writes the audio."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path

from .failure import INTERRUPTED, CommandFailed
from .interrupt import run_until_interrupted
from .simulate import read_scenario
from .wav import read_wav, write_wav


def run_demo(scenario: str, wav: Path | None, out: Path | None, trace: Path | None) -> int:
    """Hold the conversation; returns the exit code.

    Raises:
        CommandFailed: an input cannot be read, or an output would overwrite a file.
    """
    played = read_scenario(scenario)
    caller = read_wav(wav) if wav else None
    stem = f"phonic-demo-{datetime.now():%Y%m%d-%H%M%S}"
    out = out or Path(f"{stem}.wav")
    trace = trace or Path(f"{stem}.jsonl")
    for path in (out, trace):
        if path.exists():
            raise CommandFailed(f"{path} is there already; name another file or remove it")
        if not path.parent.is_dir():
            raise CommandFailed(f"{path}: there is no directory {path.parent}")

    from .live_demo import Demo  # noqa: PLC0415 - LiveKit loads slowly; a mistake is told before

    # LiveKit and the SDK log much that is of no use to somebody who watches the demo.
    logging.basicConfig(level=logging.ERROR)
    demo = Demo(played, caller)
    if run_until_interrupted(lambda: demo.run(trace)):
        return INTERRUPTED
    write_wav(out, demo.recording)
    demo.sum_up(out, trace)
    return 1 if demo.failed else 0
