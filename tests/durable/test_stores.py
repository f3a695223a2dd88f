"""What every store of journals does. The owners are processes, which are killed and stopped."""

from __future__ import annotations

import signal
import time

import pytest
from msgspec.structs import replace

from phonic_fsm.durable import Ended, NoJournal, OwnershipLost, Taken, _store, journals
from phonic_fsm.durable._process import this_process
from phonic_fsm.durable._store import HEAD_START, STILL_SECONDS, journal_name

ME = this_process(room="room", job="job", agent_name="agent", identity="agent-1", metadata="{}")


def lines(store, name="call"):
    return [line.decode() for line in store.read(name)]


def status(store, name="call"):
    [found] = [status for status in store.statuses(ended=True) if status.name == name]
    alone = store.status(name)
    assert (alone.name, alone.number, alone.holder) == (found.name, found.number, found.holder)
    return found


def until(store, held):
    """Wait until the journal is held like this."""
    until = time.monotonic() + 60
    while status(store).held != held:
        assert time.monotonic() < until, status(store)
        time.sleep(0.01)
    return status(store)


def test_a_journal_is_begun_written_and_read(store):
    journal = store.begin("call", ME)
    journal.append(b"one\ntwo\n")
    journal.append(b"three\n")
    journal.check()
    assert lines(store) == ["one\n", "two\n", "three\n"]
    found = status(store)
    assert (found.number, found.holder, found.held, found.crashes) == (1, ME, "held", 0)
    assert 0 <= found.beat_age < 60


def test_there_is_one_journal_of_a_name(store):
    store.begin("call", ME)
    with pytest.raises(Taken):
        store.begin("call", replace(ME, job="another"))


@pytest.mark.parametrize("name", ["nobody", "../call", "a/b", "", ".", ".new-1"])
def test_a_name_that_is_not_there_is_an_error_and_leads_nowhere(store, name):
    with pytest.raises(NoJournal):
        store.take_over(name, ME)
    with pytest.raises(NoJournal):
        list(store.read(name))
    with pytest.raises(NoJournal):
        store.may_dispatch(name, 1, 5)
    with pytest.raises(NoJournal):
        store.status(name)


def test_an_empty_store_has_no_journals(store):
    assert store.statuses() == []
    store.remove_expired()


def test_a_killed_owner_has_a_successor_at_once(store, own):
    owner = own("begin", "call")
    assert owner.said() == "1"
    assert owner.do("append one") == "done"
    owner.kill()
    assert status(store).held == "dead"
    journal = store.take_over("call", ME)
    assert (journal.number, journal.name) == (2, "call")
    journal.append(b"two\n")
    assert lines(store) == ["one\n", "two\n"]
    found = status(store)
    assert (found.number, found.holder, found.held) == (2, ME, "held")


def test_an_owner_that_works_keeps_its_journal(store, own):
    owner = own("begin", "call")
    assert owner.said() == "1"
    assert owner.do("beat") == "done"
    with pytest.raises(Taken):
        store.take_over("call", ME)
    assert owner.do("append one") == "done"
    assert status(store).number == 1


def test_a_stopped_owner_is_killed_and_never_wakes_up(store, own, let_pass):
    owner = own("begin", "call")
    assert owner.said() == "1"
    owner.stop()
    let_pass(STILL_SECONDS)
    assert (status(store).held, status(store).crashes) == ("still", 1)
    # What it would do if it woke up after the takeover.
    owner.ask("append too late")
    journal = store.take_over("call", ME)
    owner.go_on()
    assert owner.until_dead() == -signal.SIGKILL
    journal.append(b"in time\n")
    assert lines(store) == ["in time\n"]


def test_a_stopped_owner_that_two_would_succeed_has_one_successor(store, own, let_pass):
    owner = own("begin", "call")
    assert owner.said() == "1"
    owner.stop()
    let_pass(STILL_SECONDS)
    assert status(store).held == "still"
    said = [successor.said() for successor in [own("take_over", "call") for _ in range(3)]]
    assert sorted(said) == ["2", "Taken", "Taken"]


def test_of_several_that_take_over_at_once_one_gets_it(store, own):
    owner = own("begin", "call")
    assert owner.said() == "1"
    owner.kill()
    said = [successor.said() for successor in [own("take_over", "call") for _ in range(4)]]
    assert sorted(said) == ["2", "Taken", "Taken", "Taken"]
    assert status(store).number == 2


def test_a_journal_that_has_ended_has_no_successor(store, own):
    owner = own("begin", "call")
    assert owner.said() == "1"
    assert owner.do("end") == "done"
    assert owner.do("append one") == "OwnershipLost"
    owner.kill()
    assert status(store).held == "ended"
    with pytest.raises(Ended):
        store.take_over("call", ME)


def test_who_looks_for_calls_does_not_read_those_that_have_ended(store):
    for name in ("ended", "released", "owned"):
        journal = store.begin(name, ME)
        if name != "owned":
            getattr(journal, "end" if name == "ended" else "release")()
    for _ in range(2):
        assert {one.name for one in store.statuses()} == {"released", "owned"}
        assert len(store.statuses(ended=True)) == 3


@pytest.mark.parametrize("lifetime", [-1, float("nan"), "600", True, None])
def test_a_lifetime_that_is_no_time_is_an_error(place, lifetime):
    with pytest.raises(ValueError, match="lifetime must be a number of seconds"):
        journals(place, lifetime=lifetime)


def test_a_journal_that_is_handed_over_is_free_at_once(store):
    first = store.begin("call", ME)
    first.append(b"one\n")
    first.release()
    assert status(store).held == "dead"
    second = store.take_over("call", ME)
    for method in (first.beat, first.check, first.end, first.release, lambda: first.append(b"x\n")):
        with pytest.raises(OwnershipLost):
            method()
    second.append(b"two\n")
    assert lines(store) == ["one\n", "two\n"]
    assert status(store).crashes == 0, "to hand over is no crash"


def test_an_owner_learns_what_it_is_asked(store):
    journal = store.begin("call", ME)
    assert journal.beat() is None
    store.ask("call", 1, "move")
    assert journal.beat() == "move"
    store.ask("call", 1, "handover")
    assert journal.beat() == "handover"
    with pytest.raises(OwnershipLost):
        store.ask("call", 2, "move")
    journal.release()
    assert (status(store).held, status(store).handed_over) == ("dead", True)
    successor = store.take_over("call", ME)
    assert successor.beat() is None, "its predecessor was asked"
    assert (status(store).held, status(store).handed_over) == ("held", False)
    assert status(store).crashes == 0
    store.ask("call", 2, "handover")
    store.ask("call", 2, "leave")
    assert successor.beat() == "leave", "nothing is to be waited for"
    successor.end()
    with pytest.raises(Ended):
        store.ask("call", 2, "move")


def test_what_an_owner_leaves_is_for_the_next_one_and_taken_once(store):
    parting = bytes(range(256)) * 16
    first = store.begin("call", ME)
    first.append(b"one\n")
    assert first.take_parting() == b"", "nobody was there before"
    first.release(parting)
    second = store.take_over("call", ME)
    assert lines(store) == ["one\n"], "it is no line"
    assert [second.take_parting() for _ in range(2)] == [parting, b""]
    second.release()
    third = store.take_over("call", ME)
    assert third.take_parting() == b"", "the owner before has left nothing"
    assert (third.number, status(store).crashes) == (3, 0)


def test_what_nobody_has_taken_is_not_given_to_a_later_owner(store):
    store.begin("call", ME).release(b"of the first")
    store.take_over("call", ME).release()
    assert store.take_over("call", ME).take_parting() == b""


def test_owners_that_die_early_are_counted(store, own, monkeypatch):
    monkeypatch.setattr(_store, "LASTING_SECONDS", 3600.0)  # on a busy machine, too
    for number in (1, 2, 3):
        owner = own("begin" if number == 1 else "take_over", "call")
        assert owner.said() == str(number)
        assert status(store).crashes == number - 1
        owner.kill()
        assert until(store, "dead").crashes == number


def test_an_owner_that_lasted_begins_the_count_anew(store, own, monkeypatch):
    monkeypatch.setattr(_store, "LASTING_SECONDS", 3600.0)  # on a busy machine, too
    for number in (1, 2, 3):
        owner = own("begin" if number == 1 else "take_over", "call")
        assert owner.said() == str(number)
        owner.kill()
    assert until(store, "dead").crashes == 3
    monkeypatch.setattr(_store, "LASTING_SECONDS", 0.0)
    assert status(store).crashes == 1


def test_for_how_long_nobody_has_had_the_journal_does_not_count(store, own, let_pass, monkeypatch):
    monkeypatch.setattr(_store, "LASTING_SECONDS", 600.0)  # on a busy machine, too
    for number in (1, 2):
        owner = own("begin" if number == 1 else "take_over", "call")
        assert owner.said() == str(number)
        owner.kill()
        assert until(store, "dead").crashes == number
    let_pass(600)
    assert status(store).crashes == 2
    store.take_over("call", ME)
    assert status(store).crashes == 2, "the second one has died early, however late this one comes"


def test_a_successor_that_never_shows_that_it_works_has_died_early(store, own, let_pass):
    owner = own("begin", "call")
    assert owner.said() == "1"
    owner.kill()
    store.take_over("call", ME)
    let_pass(HEAD_START + STILL_SECONDS)
    assert (status(store).held, status(store).crashes) == ("still", 2)
    let_pass(_store.LASTING_SECONDS)
    assert status(store).crashes == 2


def test_a_successor_has_time_to_start_its_agent(store, own, let_pass):
    owner = own("begin", "call")
    assert owner.said() == "1"
    owner.kill()
    journal = store.take_over("call", ME)
    let_pass(HEAD_START)
    assert status(store).held == "held"
    journal.beat()
    let_pass(STILL_SECONDS)
    assert status(store).held == "still"


def test_of_several_guards_one_may_send_a_successor(store):
    store.begin("call", ME)
    assert [store.may_dispatch("call", 1, 60) for _ in range(3)] == [True, False, False]
    store.begin("other", ME)
    deadline = time.monotonic() + 60
    for _ in range(2):  # once its time is over, another one may
        while not store.may_dispatch("other", 1, 0.05):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_only_a_successor_to_the_present_owner_is_sent(store):
    store.begin("call", ME).release()
    assert store.may_dispatch("call", 1, 60)
    store.take_over("call", ME)
    assert not store.may_dispatch("call", 1, 60), "somebody has taken over in the meantime"
    assert store.may_dispatch("call", 2, 60), "but that one may need a successor, too"


@pytest.mark.parametrize(
    ("room", "job", "session", "name"),
    [
        ("call-1", "AJ_abc", 1, "call-1.AJ_abc"),
        ("call-1", "AJ_abc", 2, "call-1.AJ_abc.2"),
        ("../a b/ü", "AJ_abc", 1, "_a_b_ü.AJ_abc"),
        ("", "", 1, "none.none"),
        ("é" * 100, "AJ_abc", 1, "é" * 36 + ".AJ_abc"),
    ],
)
def test_a_journal_is_named_by_room_and_job(store, room, job, session, name):
    assert journal_name(room, job, session) == name
    store.begin(name, ME)
    assert status(store, name).number == 1
