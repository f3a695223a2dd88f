"""The fleet in short: a few seeds with few calls for each scenario, and that each invariant can be
broken. The long form is ``tox -e fleet``."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from fleet import simulate
from fleet.fleet import Rules
from fleet.process import lines_of
from fleet.scenarios import SCENARIOS

from phonic_fsm._core import timers
from phonic_fsm._core.context import Call, Settings
from phonic_fsm._core.history import FunctionCallOutput
from phonic_fsm.trace import replay

CALLS = 16


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", SCENARIOS)
def test_no_invariant_breaks(name, seed):
    assert SCENARIOS[name].fleet(seed, CALLS).run().broken == []


@pytest.mark.parametrize("name", ["zone", "failover", "partition"])
def test_a_run_repeats_byte_by_byte(name):
    def everything():
        fleet = SCENARIOS[name].fleet(7, CALLS)
        figures = msgspec.json.encode(fleet.run().figures())
        journals = (
            b"".join(lines_of(Settings(id_seed=one), entry.steps))
            for one, entry in sorted(fleet.store.journals.items())
        )
        return figures + b"".join(journals)

    assert everything() == everything()


def test_other_seeds_make_other_runs():
    runs = [SCENARIOS["zone"].fleet(seed, CALLS).run().figures() for seed in (1, 2)]
    assert runs[0] != runs[1]


# -- each invariant, broken on purpose -----------------------------------------------------------


def breaches(name, rules=None, calls=CALLS):
    return " ".join(what for _, what in SCENARIOS[name].fleet(1, calls, rules).run().broken)


def send_to_all(fleet):
    """A successor for every call, whether it needs one or not."""
    for call in fleet.calls.values():
        fleet.dispatch(call)


class BlindGuard(Rules):
    """Successors are sent and take over without a look at the heartbeat."""

    def take_over(self, store, name, holder, owner, zone):
        store.seize(name, holder, owner)


def test_an_owner_that_works_is_not_replaced():
    fleet = SCENARIOS["poison"].fleet(1, CALLS, BlindGuard())
    fleet.clock.after(31.0, send_to_all, fleet)
    broken = " ".join(what for _, what in fleet.run().broken)
    assert "an owner whose heart beats was replaced" in broken


class NobodyChecks(BlindGuard):
    """No owner asks whether it still is one."""

    def check(self, store, name, owner):
        store.reach(owner.zone)


def test_who_is_not_the_owner_sends_nothing():
    fleet = SCENARIOS["restart"].fleet(1, CALLS, NobodyChecks())
    fleet.clock.after(29.0, send_to_all, fleet)
    broken = " ".join(what for _, what in fleet.run().broken)
    assert "by one that is not the owner" in broken


class Presumptuous(Rules):
    """Who cannot ask takes the conversation for its own."""

    def may_end(self, verdict, *, is_safe):
        return verdict != "lost"


def test_who_may_have_lost_the_call_does_not_end_its_conversation():
    assert "a conversation was closed by one that is not" in breaches("partition", Presumptuous())


class Forgetful(Rules):
    """A recovery that has lost the history."""

    def recover(self, process, folded):
        folded.machine.context.history.replace(())
        return folded.machine


def test_nothing_that_was_accepted_is_lost():
    assert "lost: " in breaches("zone", Forgetful())


class Repeating(Rules):
    """A recovery that has not read which outputs Phonic has taken note of."""

    def recover(self, process, folded):
        context = folded.machine.context
        for item in context.history:
            if isinstance(item, FunctionCallOutput):
                context.calls[item.call_id] = Call(item.name, "answered", item)
        return folded.machine


def test_no_output_goes_out_twice():
    assert "output twice" in breaches("zone", Repeating())


def test_who_was_turned_away_comes_back_apart(monkeypatch):
    for name, value in {"FIRST_SPREAD": 1.0, "LONGEST_SPREAD": 1.0, "LEAST_PAUSE": 0.9}.items():
        monkeypatch.setattr(timers, name, value)
    assert "a herd" in breaches("restart", calls=100)


class Undying(Rules):
    """Nobody gives a call up that kills its processes."""

    def take_over(self, store, name, holder, owner, zone):
        store.take_over(name, holder, owner, zone)
        entry = store.journals[name]
        entry.lease = replace(entry.lease, crashes=0)


@pytest.mark.parametrize(("rules", "ends"), [(Rules(), True), (Undying(), False)])
def test_every_call_ends(rules, ends, monkeypatch):
    monkeypatch.setattr("fleet.fleet.PATIENCE", 1000.0)
    fleet = SCENARIOS["poison"].fleet(1, CALLS, rules)

    def stay():
        fleet.calls[min(fleet.calls)]._leaves_at = 1000.0

    fleet.clock.after(29.0, stay)
    broken = " ".join(what for _, what in fleet.run().broken)
    assert ("its caller is still there" not in broken) == ends


def test_a_failing_seed_leaves_journals_that_replay(tmp_path):
    fleet = SCENARIOS["zone"].fleet(1, CALLS)
    fleet.run()
    fleet.ledger.breach("call00003", "to see its journal")
    [path] = simulate.write_traces(fleet, tmp_path)
    steps = list(replay(path))
    assert "take_over" in [step.line.event["type"] for step in steps]
    assert [step.difference for step in steps if step.difference is not None] == []


def test_a_mistake_is_one_line(capsys):
    with pytest.raises(SystemExit, match="2"):
        simulate.main(["nonsense"])
    assert "no scenario 'nonsense'" in capsys.readouterr().err
