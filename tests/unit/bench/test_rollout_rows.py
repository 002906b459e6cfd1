"""Rows of `./dev bench rollouts` from ledgers: literals in, values out."""

import dataclasses
from pathlib import Path

import pytest

from bench import ledger
from bench.rollouts import document, rows, scenarios, strategies
from bench.rollouts.rows import Reaction

STABLE, CANDIDATE = "tumour-aaaaaaaaaa", "tumour-bbbbbbbbbb"
BEGAN = 100.0


def run(scenario: str = "errors", *, replicas: int = 4) -> ledger.Run:
    return ledger.Run(BEGAN - 1, "canary", scenario, replicas=replicas, rate=200.0)


def begin(scenario: str = "errors") -> ledger.RolloutBegin:
    return ledger.RolloutBegin(BEGAN, scenario, "1.7.0", ledger.Promise("Aborted"))


def end(outcome: str = "Aborted", *, at: float = 110.0, problem: str | None = None):
    return ledger.RolloutEnd(at, "errors", CANDIDATE, outcome, "Errors", problem)


def request(
    sent: float,
    protocol: str = "rest",
    *,
    status: int | str | None = 200,
    revision: str = STABLE,
    config: str = "before",
    wrong: bool = False,
) -> ledger.Request:
    received = None if status is None else sent + 0.01
    return ledger.Request(
        f"{protocol}-{sent}", protocol, sent, received, status, revision, 1, config, "1.0.0",
        wrong=wrong, sample=0,
    )  # fmt: skip


def attempt(at: float, protocol: str = "rest", *, status: int | str = 200) -> ledger.Attempt:
    return ledger.Attempt(at, "pod-1", CANDIDATE, f"{at}", protocol, status, 0.01)


def of(*lines: ledger.Line, scenario: str = "errors", last: ledger.RolloutEnd | None = None):
    return rows.of_run([run(scenario), begin(scenario), *lines, last or end()])


def test_each_protocol_has_a_row_of_its_own():
    rest, grpc = of(
        request(101.0),
        request(102.0, status=None),
        request(103.0, "grpc", status="UNAVAILABLE"),
        request(104.0, "grpc", status="OK", wrong=True),
        request(105.0, "grpc", status="OK"),
    )

    assert (rest.protocol, rest.requests, rest.lost) == ("rest", 2, 1)
    assert (grpc.protocol, grpc.requests, grpc.client_errors, grpc.wrong_answers) == (
        "grpc", 3, 1, 1,
    )  # fmt: skip
    assert rest.seconds_total == grpc.seconds_total == 10.0


def test_requests_before_the_change_do_not_count():
    rest, _ = of(request(99.9, status=None), request(100.1))

    assert (rest.requests, rest.lost) == (1, 0)


def test_trouble_begins_with_the_first_bad_attempt_of_either_protocol():
    rest, grpc = of(
        attempt(101.0),
        attempt(102.0, "grpc", status="INTERNAL"),
        attempt(102.7, "rest"),
        attempt(102.4, "grpc", status="OK"),
    )

    assert (rest.seconds_to_zero, grpc.seconds_to_zero) == (0.7, 0.4)


def test_what_is_done_to_the_candidate_is_trouble_and_what_is_done_to_others_is_not():
    of_candidate, _ = of(ledger.Fault(101.0, "candidate", "crash"), attempt(101.5))
    of_stable, _ = of(ledger.Fault(101.0, "stable", "crash"), attempt(101.5))

    assert of_candidate.seconds_to_zero == 0.5
    assert of_stable.seconds_to_zero is None


def test_a_candidate_is_at_zero_only_when_no_router_would_ask_it_any_more():
    """Its pods may be gone: what routers try in vain is in no pod's log."""
    rest, _ = of(
        attempt(101.0, status=500),
        request(100.9, revision=CANDIDATE, config="half"),
        request(102.5, revision=STABLE, config="half"),
        request(103.0, revision=STABLE, config="after"),
    )

    assert rest.seconds_to_zero == 1.5


def test_a_candidate_that_is_wrong_and_never_asked_again_is_at_zero_at_once():
    rest, grpc = of(attempt(101.0, status=500))

    assert (rest.seconds_to_zero, grpc.seconds_to_zero) == (0.0, 0.0)


def test_a_candidate_that_was_not_taken_back_has_no_time_to_zero():
    rest, _ = of(attempt(101.0, status=500), attempt(109.0), last=end("Promoted"))

    assert rest.seconds_to_zero is None
    assert "outcome Promoted (Errors), promised Aborted" in rest.misses


def test_a_row_that_keeps_all_promises_has_no_misses():
    rest, _ = of(request(101.0), attempt(101.0, status=500), attempt(102.9))

    assert rest.misses == ()


@pytest.mark.parametrize(
    ("line", "miss"),
    [
        (request(101.0, status=None), "1 lost, promised 0"),
        (request(101.0, status=503), "1 client errors, promised 0"),
        (request(101.0, wrong=True), "1 wrong answers, promised 0"),
        (attempt(103.2), "2.2 s to zero, promised 2"),
    ],
)
def test_what_is_not_kept_is_said(line: ledger.Line, miss: str):
    rest, _ = of(request(101.0), attempt(101.0, status=500), line)

    assert rest.misses == (miss,)


def test_errors_that_nobody_saw_prove_nothing():
    rest, _ = of(request(101.0))

    assert rest.misses == ("the candidate was never seen to be wrong",)


def test_more_pods_than_replicas_are_a_miss_of_a_promotion():
    starts = [ledger.PodStart(101.0, f"pod-{number}", CANDIDATE) for number in range(5)]
    of_stable = ledger.PodStart(101.0, "pod-9", STABLE)
    earlier = ledger.PodStart(99.0, "pod-8", CANDIDATE)

    rest, _ = of(
        request(101.0), *starts, of_stable, earlier, scenario="promotion", last=end("Promoted")
    )

    assert rest.pod_starts == 5
    assert rest.misses == ("5 pod starts, promised 4",)


def test_a_ledger_without_an_end_is_refused():
    with pytest.raises(rows.RowError, match="0 lines RolloutEnd"):
        rows.of_run([run(), begin()])


def test_reactions_are_medians_and_worst_over_runs_and_protocols():
    quick = of(request(101.0), attempt(101.0, status=500), attempt(101.4))
    slow = of(request(101.0), attempt(101.0, status=500), attempt(103.5))

    (found,) = rows.reactions([*quick, *slow, *quick])

    assert found == Reaction(
        "canary", "errors", 3, 0.2, 2.5, ("2.5 s to zero at worst, promised 2",)
    )


def test_only_what_is_promised_to_react_is_summed_up():
    healthy = of(request(101.0), scenario="promotion", last=end("Promoted"))

    assert rows.reactions(healthy) == ()


def cost(**changes: float) -> ledger.Cost:
    idle = ledger.Cost(
        at=1.0, seconds=100.0, reads=40, writes=0, lease_requests=200, memory_mib=119.0,
        processor_s=1.5,
    )  # fmt: skip
    return dataclasses.replace(idle, **changes)


def test_idle_deployments_cost_reads_memory_and_what_the_lease_takes():
    found = rows.of_cost([run("idle", replicas=100), cost()])

    assert (found.deployments, found.writes, found.reads_per_second) == (100, 0, 0.4)
    assert (found.lease_requests_per_second, found.processor_percent) == (2.0, 1.5)
    assert found.misses == ()


def test_what_idle_deployments_cost_too_much_is_said():
    found = rows.of_cost([run("idle"), cost(writes=1, reads=60, memory_mib=121.0)])

    assert found.misses == (
        "1 writes, promised 0",
        "0.6 reads per second, promised 0.5",
        "121.0 MiB, promised 120",
    )


def test_a_report_is_the_same_when_its_ledgers_are_read_again(tmp_path: Path):
    lines = [run(), begin(), request(101.0), attempt(101.0, status=500), end()]
    with ledger.Writer(tmp_path / "000.jsonl") as writer:
        for line in lines:
            writer.write(line)
    with ledger.Writer(tmp_path / "001.jsonl") as writer:
        writer.write(run("idle"))
        writer.write(cost())

    first, again = document.read(tmp_path), document.read(tmp_path)

    assert document.to_json(first, commit="abc") == document.to_json(again, commit="abc")
    assert [row.protocol for row in first.rows] == ["rest", "grpc"]
    assert first.costs[0].memory_mib == 119.0
    assert first.misses == ("canary, errors, grpc: no requests were sent",)
    assert "MISSED  canary, errors, grpc: no requests were sent" in document.table(first)


def test_a_ledger_never_takes_the_name_of_another(tmp_path: Path):
    assert document.next_name(tmp_path) == "000.jsonl"

    (tmp_path / "002.jsonl").touch()

    assert document.next_name(tmp_path) == "003.jsonl"


def test_every_strategy_is_promoted_undone_and_taken_back_at_each_of_its_stops():
    known = strategies.STRATEGIES
    found = list(scenarios.plays(known, scenarios.SCENARIOS, repeats=1))

    for by in known:
        mine = [play.name for play in found if play.strategy is by]
        assert {"promotion", "undo"} <= set(mine)
        assert [name for name in mine if name.startswith("abort")] == [
            f"abort at {stop.weight} %" for stop in by.stops
        ]


def test_what_nobody_could_judge_in_time_is_promised_no_reaction():
    found = scenarios.plays(strategies.STRATEGIES, scenarios.SCENARIOS, repeats=1)

    assert [
        play.name for play in found if play.scenario.reacts and not play.strategy.is_guarded
    ] == []


def test_every_play_finds_its_promise_by_its_name():
    for play in scenarios.plays(strategies.STRATEGIES, scenarios.SCENARIOS, repeats=1):
        assert scenarios.scenario(play.name) is play.scenario
