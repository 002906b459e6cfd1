"""The engine's model: chance plays against the laws, and comes everywhere (docs/proofs.md)."""

import os
from collections import Counter
from itertools import product
from typing import Any, Final

from hypothesis import Phase as Stage
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from slipway_api.conditions import Phase, Reason
from tests.unit.model import table
from tests.unit.model.machine import Machine
from tests.unit.model.witness import Ledger

VISITS_MIN: Final = 50
RUNS: Final = 46  # by trial: the least that comes everywhere often enough, with some to spare
STEPS: Final = 30
RUNS_WANTED: Final = os.environ.get("SLIPWAY_MODEL_RUNS")


def test_the_laws_hold_wherever_chance_leads_and_it_leads_everywhere() -> None:
    ledger = Ledger()

    run_state_machine_as_test(
        lambda: Machine(ledger),  # type: ignore[arg-type]  # it takes factories, too
        settings=settings(
            max_examples=int(RUNS_WANTED or RUNS),
            stateful_step_count=STEPS,
            derandomize=RUNS_WANTED is None,
            deadline=None,
            database=None,
            print_blob=True,
            phases=(Stage.generate,),  # what fails is told whole: the story says more than its end
        ),
    )

    counts = ledger.states + ledger.transitions + ledger.causes
    print(f"{ledger.looks} looks, {ledger.rests} rests, least: {counts.most_common()[:-8:-1]}")
    assert _missing(ledger.states, table.STATES) == {}
    assert _missing(ledger.transitions, table.TRANSITIONS) == {}
    assert _missing(ledger.causes, table.CAUSES) == {}
    assert set(ledger.states) - table.STATES == set()
    assert set(ledger.transitions) - table.TRANSITIONS - table.RARE.keys() == set()
    assert set(ledger.causes) - table.CAUSES == set()


def test_the_table_has_every_word_of_the_status() -> None:
    phases = {state.phase for state in table.STATES}
    reasons = {state.why for state in table.STATES} | table.CAUSES | table.OF_CONDITIONS.keys()

    assert phases == set(Phase)
    assert set(Reason) - reasons == set()


def test_two_phases_follow_each_other_or_the_table_says_why_not() -> None:
    cannot_be = [
        table.Transition(before, after)
        for befores, afters, _ in table.UNREACHABLE
        for before, after in product(befores, afters)
    ]
    said = Counter((*table.TRANSITIONS, *table.RARE, *cannot_be))

    for before, after in product((None, *Phase), Phase):
        assert before == after or said[table.Transition(before, after)] == 1, (before, after)


def _missing(visits: Counter[Any], rows: frozenset[Any]) -> dict[Any, int]:
    """List the rows that were visited too seldom."""
    return {row: visits[row] for row in rows if visits[row] < VISITS_MIN}
