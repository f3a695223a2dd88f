"""Journals in a directory: what files, locks and processes do there."""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from durable.test_stores import ME, lines, status
from msgspec.structs import replace
from support.processes import running

from phonic_fsm.durable import Ended, NoJournal, StoreFailed, Taken, journals
from phonic_fsm.durable._process import exists

LOOKING = """
import sys
from phonic_fsm.durable import journals
store = journals(sys.argv[1])
print("looking", flush=True)
while True:
    store.statuses()
"""
"""A guard that looks as often as it can; each look locks the journals for a moment."""


@pytest.fixture
def place(directory):
    return directory


def test_only_this_user_can_read_a_journal(store, tmp_path):
    os.umask(0)
    store.begin("call", ME).release()
    store.take_over("call", ME)
    store.may_dispatch("call", 2, 1)
    modes = {
        str(path.relative_to(tmp_path)): oct(stat.S_IMODE(path.stat().st_mode))
        for path in tmp_path.rglob("*")
    }
    assert modes == {
        "journals": "0o700",
        "journals/call": "0o700",
        "journals/call/dispatched": "0o600",
        "journals/call/ended": "0o600",
        "journals/call/ended.new": "0o600",
        "journals/call/journal.jsonl": "0o600",
        "journals/call/lease": "0o600",
        "journals/call/lease.new": "0o600",
        "journals/call/lock": "0o600",
    }


def test_a_last_line_that_was_cut_off_is_left_out_and_removed(store, own, tmp_path):
    owner = own("begin", "call")
    assert owner.said() == "1"
    assert owner.do("append whole") == "done"
    assert owner.do('cut {"half":') == "done"
    owner.kill()
    assert lines(store) == ["whole\n"]
    store.take_over("call", ME).append(b"next\n")
    assert (tmp_path / "journals/call/journal.jsonl").read_bytes() == b"whole\nnext\n"


@pytest.mark.parametrize("cut_off", [b"x", b"x" * 200_000, b"whole\n" + b"x" * 65_536])
def test_a_long_line_that_was_cut_off_is_removed_too(store, tmp_path, cut_off):
    store.begin("call", ME).release()
    journal = tmp_path / "journals/call/journal.jsonl"
    journal.write_bytes(cut_off)
    store.take_over("call", ME)
    assert journal.read_bytes() == (b"whole\n" if b"\n" in cut_off else b"")


def test_another_process_with_the_owners_id_is_not_killed(store, own, place):
    other = own("begin", "other")
    assert other.said() == "1"
    stranger = status(store, "other").holder
    # The owner of this journal had the same id, and began long before.
    store.begin("call", replace(stranger, started=stranger.started - 3600))
    folder = f"{place}/call"
    os.utime(f"{folder}/lock", (0, 0))
    with pytest.raises(Taken):
        store.take_over("call", ME)
    assert exists(stranger)
    assert other.do("check") == "done"


def test_an_owner_on_another_host_is_not_killed(store, own, place):
    other = own("begin", "other")
    assert other.said() == "1"
    twin = replace(status(store, "other").holder, host="another")
    store.begin("call", twin)
    os.utime(f"{place}/call/lock", (0, 0))
    with pytest.raises(Taken, match="another host"):
        store.take_over("call", ME)
    assert other.do("check") == "done"


def test_a_process_does_not_kill_itself(store, place):
    store.begin("call", ME)
    os.utime(f"{place}/call/lock", (0, 0))
    assert status(store).held == "still"
    with pytest.raises(Taken):
        store.take_over("call", ME)


def test_a_child_of_the_owner_does_not_keep_the_journal(store, own):
    owner = own("begin", "call")
    assert owner.said() == "1"
    owner.ask("fork 60")
    child = int(owner.said().removeprefix("forked "))
    owner.kill()
    os.kill(child, 0)  # it is still there
    assert status(store).held == "dead"
    assert store.take_over("call", ME).number == 2


def test_a_guard_that_looks_all_the_time_is_in_nobodys_way(store, own, place):
    with running(sys.executable, "-c", LOOKING, place) as looking:
        looking.stdout.readline()
        for number in range(1, 6):
            owner = own("begin" if number == 1 else "take_over", "call")
            assert owner.said() == str(number)
            owner.kill()
        assert looking.poll() is None


@contextmanager
def full_disk():
    """No file may get longer than 8 bytes: as a full disk, to whoever writes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8, limits[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_full_disk_leaves_no_half_lines(tmp_path):
    store = journals(tmp_path / "journals")
    journal = store.begin("call", ME)
    journal.append(b"one\n")
    with full_disk(), pytest.raises(StoreFailed, match="too large"):
        journal.append(b"two, which is long\n")
    journal.append(b"three\n")
    assert lines(store) == ["one\n", "three\n"]


@pytest.mark.parametrize("owner", ["first", "second"])
def test_a_call_ends_on_a_full_disk_and_gets_no_successor(owner, tmp_path):
    store = journals(tmp_path / "journals")
    journal = store.begin("call", ME)
    if owner == "second":
        journal.release()
        journal = store.take_over("call", ME)
    with full_disk():
        journal.end()
    assert store.status("call").held == "ended"
    with pytest.raises(Ended):
        store.take_over("call", ME)


ON_A_FULL_DISK = """
import os, signal, sys
from phonic_fsm.durable import StoreFailed, journals
from phonic_fsm.durable._process import this_process

store = journals(sys.argv[1] + "/journals")
owner = os.fork()
if not owner:
    store.begin("call", this_process(metadata="m" * 6000)).append(b"one\\n")
    os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(owner, 0)
with open(sys.argv[1] + "/full", "wb", 0) as file:
    try:
        while file.write(bytes(512)):
            pass
    except OSError as error:
        print(error.strerror)
for number in 1, 2, 3:
    assert store.may_dispatch("call", number, 60)
    assert not store.may_dispatch("call", number, 60)
    journal = store.take_over("call", this_process(metadata="m" * 6000, job=f"job {number}"))
    assert (journal.number, list(store.read("call"))) == (number + 1, [b"one\\n"])
    try:
        journal.append(bytes(10_000))
    except StoreFailed as error:
        print(error)
    assert store.status("call").held == "held"
    journal.release()
store.take_over("call", this_process()).end()
print(store.status("call").held)
"""


def test_a_call_goes_on_in_another_process_on_a_full_disk(tmp_path):
    disk = ("unshare", "--map-root-user", "--mount", "sh", "-c")
    mount = f"mount -t tmpfs -o size=128k none {tmp_path}"
    if subprocess.run([*disk, mount], capture_output=True, check=False).returncode:
        pytest.skip("no disk can be made here")
    program = [sys.executable, "-c", ON_A_FULL_DISK, str(tmp_path)]
    done = subprocess.run(
        [*disk, f"{mount} && exec {shlex.join(program)}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    full = "No space left on device"
    failed = f"the journal call cannot be used: {full}"
    assert done.stdout.splitlines() == [full, failed, failed, failed, "ended"]


def test_a_journal_that_somebody_removes_is_told(store, place):
    journal = store.begin("call", ME)
    shutil.rmtree(f"{place}/call")
    for method in (journal.beat, journal.check, journal.end, lambda: journal.append(b"x\n")):
        with pytest.raises(NoJournal):
            method()
    assert store.statuses() == []


def test_a_damaged_lease_is_told(store, place):
    store.begin("call", ME)
    with open(f"{place}/call/lease", "w") as lease:
        lease.write("{")
    with pytest.raises(StoreFailed, match="lease of the journal call is damaged"):
        store.take_over("call", ME)


def test_a_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    store = journals(tmp_path / "file" / "journals")
    with pytest.raises(StoreFailed, match="Not a directory"):
        store.begin("call", ME)


@pytest.mark.parametrize("nowhere", ["", "http://host/", "redi://host"])
def test_a_place_that_is_none_is_an_error(nowhere):
    with pytest.raises(ValueError, match="journals are kept in a directory"):
        journals(nowhere)


def test_what_else_is_in_the_directory_is_left_alone(store, tmp_path):
    store.begin("call", ME)
    (tmp_path / "journals/notes").mkdir()
    (tmp_path / "journals/file").touch()
    assert [status.name for status in store.statuses()] == ["call"]
    store.remove_expired()
    assert (tmp_path / "journals/notes").exists()


def test_journals_are_removed_when_their_lifetime_is_over(place, own):
    store = journals(place, lifetime=60)
    kept = journals(place, lifetime=1e9)
    store.begin("ended", ME).end()
    store.begin("released", ME).release()
    store.begin("owned", ME)
    kept.begin("kept", ME).end()
    os.mkdir(f"{place}/.new-left")
    open(f"{place}/.new-left/lock", "w").close()
    store.remove_expired()
    assert len(store.statuses(ended=True)) == 4, "nothing is that old"
    for age, left in ((61, ["kept", "owned", "released"]), (3601, ["kept", "owned"])):
        for name in os.listdir(place):
            os.utime(f"{place}/{name}/lock", (0, time.time() - age))
        store.remove_expired()
        assert sorted(os.listdir(place)) == left
