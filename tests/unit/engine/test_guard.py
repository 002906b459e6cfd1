"""The guard's verdicts on streams of attempts."""

import random

import pytest

from slipway_api.analysis import Analysis, Metric
from slipway_api.conditions import Reason, VerdictState
from slipway_operator.engine.guard import Guard
from slipway_operator.engine.verdicts import Verdict
from tests.unit.engine.streams import CANDIDATE, STABLE, START_S, Stream, attempt, feed, guard


def _verdict(judge: Guard, gate: str = "errors") -> Verdict:
    return next(one for one in judge.view().verdicts if one.gate == gate)


def test_a_candidate_that_always_fails_is_convicted_with_both_sides_numbers() -> None:
    judge = guard()

    Stream(200, 5).run(judge, 5)

    failed = judge.view().failed
    assert failed is not None
    assert failed.gate == "errors"
    assert failed.reason is Reason.ERRORS
    assert failed.need == 0
    assert failed.candidate_bad_count == failed.candidate_count > 0
    assert failed.message.startswith(f"candidate failed {failed.candidate_count} of ")
    assert failed.message.endswith(f"(100 %), stable 0 of {failed.stable_count} (0 %)")


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_candidate_that_refuses_what_stable_accepts_is_convicted(status: int) -> None:
    judge = guard()

    Stream(200, 5, candidate_status=status).run(judge, 5)

    failed = judge.view().failed
    assert failed is not None
    assert failed.reason is Reason.REFUSALS


@pytest.mark.parametrize("status", [400, 401])
def test_a_client_that_is_refused_everywhere_is_not_the_candidates_fault(status: int) -> None:
    judge, stream = guard(), Stream(200, 50)
    source = random.Random(7)

    for _ in range(240):
        wrong = [
            attempt(
                f"bad-{stream.count}-{index}",
                stream.now_s,
                revision=source.choice([CANDIDATE, STABLE]),
                status=status,
                host=f"host-{source.randrange(4)}",
            )
            for index in range(10)
        ]
        good = [one for one in stream.tick() if one.revision == STABLE]
        good += [attempt(f"c-{one.key}", one.began_at_s) for one in good]
        feed(judge, wrong + good, stream.now_s)

    assert judge.view().failed is None


def test_a_shedding_candidate_is_neither_good_nor_bad_but_said_to_shed() -> None:
    judge = guard()

    Stream(200, 20, candidate_status=429).run(judge, 60)

    view = judge.view()
    assert view.failed is None
    assert view.is_shedding
    assert _verdict(judge).state is VerdictState.INSUFFICIENT
    assert _verdict(judge).candidate_count == 0


def test_shedding_ends_with_its_cause() -> None:
    judge, stream = guard(), Stream(200, 20, candidate_status=429)
    stream.run(judge, 5)
    assert judge.view().is_shedding

    stream.candidate_status = 200
    stream.run(judge, 60)

    assert not judge.view().is_shedding


def test_shedding_of_both_sides_alike_is_not_the_candidates() -> None:
    judge, stream = guard(), Stream(200, 50, candidate_status=200)

    for _ in range(40):
        attempts = stream.tick()
        shed = [
            attempt(f"x{one.key}", one.began_at_s, revision=one.revision, status=429)
            for one in attempts[::4]
        ]
        feed(judge, attempts + shed, stream.now_s)

    assert not judge.view().is_shedding


def test_a_good_candidate_passes_every_gate() -> None:
    judge = guard()

    Stream(200, 50, candidate_status=200).run(judge, 20)

    assert {one.state for one in judge.view().verdicts} == {VerdictState.PASS}


def test_a_pass_must_be_earned_anew_in_each_step() -> None:
    judge, stream = guard(), Stream(200, 50, candidate_status=200)
    stream.run(judge, 20)

    judge.step_started()

    assert _verdict(judge).state is VerdictState.INSUFFICIENT
    stream.run(judge, 20)
    assert _verdict(judge).state is VerdictState.PASS


def test_too_few_samples_say_how_many_are_missing() -> None:
    judge = guard(phi=1.0)

    Stream(10, 50, candidate_status=200).run(judge, 120)

    verdict = _verdict(judge)
    assert verdict.state is VerdictState.INSUFFICIENT
    assert verdict.reason is Reason.INSUFFICIENT_DATA
    assert verdict.need is not None
    assert verdict.have + verdict.need == pytest.approx(1034, abs=2)
    assert f"have {verdict.have} candidate requests, need about " in verdict.message
    assert " at the current rate)" in verdict.message


def test_no_traffic_is_told_apart_from_a_candidate_without_any() -> None:
    silent, lonely = guard(), guard()

    feed(silent, [], START_S)
    Stream(10, 0).run(lonely, 10)

    assert _verdict(silent).state is VerdictState.INSUFFICIENT
    needed = ": need about 1000 of the candidate"
    assert _verdict(silent).message == f"no requests in this step yet{needed}"
    assert (_verdict(silent).have, _verdict(silent).need) == (0, 1034)
    alone = _verdict(lonely)
    said = f"no candidate requests in this step yet, stable had {alone.stable_count}{needed}"
    assert alone.message == said


def test_a_silent_source_makes_measurement_unavailable_never_healthy() -> None:
    judge, stream = guard(), Stream(200, 50, candidate_status=200)

    stream.run(judge, 30, is_source_alive=False)

    assert _verdict(judge).state is VerdictState.UNAVAILABLE
    assert _verdict(judge).reason is Reason.MEASUREMENT_UNAVAILABLE
    feed(judge, [], stream.now_s)
    assert _verdict(judge).state is VerdictState.INSUFFICIENT


def test_a_candidate_is_convicted_by_the_logs_that_still_arrive() -> None:
    judge = guard()

    Stream(200, 5).run(judge, 5, is_source_alive=False)

    assert judge.view().failed is not None


def test_a_conviction_is_final() -> None:
    judge, stream = guard(), Stream(200, 5)
    stream.run(judge, 5)
    failed = judge.view().failed

    stream.candidate_status = 200
    for _ in range(400):
        feed(judge, stream.tick(), stream.now_s, weight_percent=5)

    assert judge.view().failed == failed


def test_a_burst_that_hits_both_sides_convicts_nobody() -> None:
    judge = guard()

    Stream(200, 50, base=0.5, candidate_status=200, bad_from_s=1e9).run(judge, 60)

    assert judge.view().failed is None


def test_retries_of_failed_requests_do_not_make_stable_look_better() -> None:
    """A tenth of all first attempts fails on both sides; every retry, at stable, succeeds."""
    judge, stream = guard(), Stream(100, 80, base=0.1, bad_from_s=1e9)

    for _ in range(1200):
        attempts = []
        for one in stream.tick():
            request = f"request-{one.key}"
            first = attempt(
                one.key,
                one.began_at_s,
                revision=one.revision,
                request=request,
                status=one.http_status,
                host=one.host,
            )
            attempts.append(first)
            if first.http_status == 500:
                attempts.append(
                    attempt(
                        f"{one.key}-again",
                        one.began_at_s + 0.02,
                        host="stable-0",
                        revision=STABLE,
                        request=request,
                    )
                )
        feed(judge, attempts, stream.now_s, weight_percent=80)

    assert judge.view().failed is None
    assert _verdict(judge).stable_bad_count / _verdict(judge).stable_count > 0.08


def test_a_client_that_repeats_its_request_id_cannot_blind_the_guard() -> None:
    judge, stream = guard(), Stream(200, 10)

    for _ in range(20):
        same = [
            attempt(
                one.key,
                one.began_at_s,
                revision=one.revision,
                status=one.http_status,
                request="always-the-same",
            )
            for one in stream.tick()
        ]
        feed(judge, same, stream.now_s, weight_percent=10)

    assert judge.view().failed is not None


def test_an_absolute_limit_convicts_at_full_weight_where_no_stable_runs() -> None:
    limited = guard(analysis=Analysis(metrics=[Metric(name="error-rate", max="1%")]))
    unlimited = guard()

    for judge in (limited, unlimited):
        Stream(50, 100, base=0.03, bad_from_s=1e9).run(judge, 60)

    failed = limited.view().failed
    assert failed is not None
    assert failed.reason is Reason.LIMIT_EXCEEDED
    assert failed.message.endswith("limit 1 %")
    assert unlimited.view().failed is None


def test_a_clean_candidate_passes_at_full_weight() -> None:
    judge = guard()

    Stream(200, 100, candidate_status=200).run(judge, 20)

    assert _verdict(judge).state is VerdictState.PASS


def test_a_tighter_ratio_convicts_what_the_default_lets_pass() -> None:
    tight = guard(analysis=Analysis(metrics=[Metric(name="error-rate", max_increase="0%")]))

    for judge, convicts in ((tight, True), (guard(), False)):
        source = random.Random(5)
        for tick in range(1200):
            now_s = START_S + tick / 4
            attempts = [
                attempt(
                    f"{tick}-{index}",
                    now_s,
                    revision=revision,
                    host=f"{revision}-{index % 2}",
                    status=500 if source.random() < share else 200,
                )
                for revision, share in ((CANDIDATE, 0.4), (STABLE, 0.36))
                for index in range(25)
            ]
            feed(judge, attempts, now_s)
            if judge.is_convicted:
                break
        assert judge.is_convicted is convicts


def test_a_drifting_error_rate_and_growing_weight_convict_nobody() -> None:
    """Pooled over the steps the candidate has 2.6 % errors and stable 0.9 %."""
    judge, now_s, count = guard(), START_S, 0
    for weight, base in ((5, 0.001), (25, 0.01), (50, 0.05)):
        stream = Stream(100, weight, seed=weight, base=base, bad_from_s=1e9, now_s=now_s)
        stream.count = count
        assert stream.run(judge, 300) is None
        now_s, count = stream.now_s, stream.count

    verdict = _verdict(judge)
    rates = (
        verdict.candidate_bad_count / verdict.candidate_count,
        verdict.stable_bad_count / verdict.stable_count,
    )
    assert rates[0] > 1.5 * rates[1]


def test_the_message_of_a_late_break_shows_the_time_that_tells() -> None:
    judge = guard()

    Stream(40, 50, bad_from_s=600, base=0.001).run(judge, 620)

    failed = judge.view().failed
    assert failed is not None
    assert failed.message.endswith("in the last 3 s")


def test_attempts_of_other_revisions_are_nobodys() -> None:
    judge = guard()

    feed(judge, [attempt("1", START_S, revision="churn-older", status=500)], START_S)

    assert _verdict(judge).candidate_count == _verdict(judge).stable_count == 0


def test_stable_latency_is_known_from_its_first_answer() -> None:
    judge = guard()
    assert judge.view().stable_latency_s_p999 is None

    feed(judge, [attempt("1", START_S, revision=STABLE, took_s=0.2)], START_S + 1)

    assert judge.view().stable_latency_s_p999 == pytest.approx(0.2, rel=0.06)


def test_a_moments_pause_of_the_machine_does_not_pass_for_stables_slowest_answer() -> None:
    judge = guard()
    answers = [
        attempt(f"{n}", START_S + n / 1000, revision=STABLE, took_s=3.0 if n < 5 else 0.01)
        for n in range(1500)
    ]

    feed(judge, answers, START_S + 5)

    assert judge.view().stable_latency_s_p999 == pytest.approx(0.01, rel=0.06)


def test_time_that_runs_backwards_does_no_harm() -> None:
    judge = guard()

    feed(judge, [attempt("1", START_S)], START_S)
    feed(judge, [attempt("2", START_S)], START_S - 100)

    assert _verdict(judge).candidate_count == 2
