"""Liveness goes by the event loop and the queue, and by nobody else."""

from slipway_operator.shell.vitals import LAG_S_MAX, STUCK_S_MAX, WINDOW_S, Vitals


def test_a_loop_that_turns_and_a_queue_that_gets_on_are_well() -> None:
    vitals = Vitals(lambda: STUCK_S_MAX)
    vitals.beat(100.0, late_s=0.01)

    assert vitals.trouble(100.5) is None


def test_a_pulse_that_stopped_is_trouble() -> None:
    vitals = Vitals(lambda: 0.0)
    vitals.beat(100.0, late_s=0.01)

    assert vitals.trouble(100.0 + LAG_S_MAX + 1) == "the event loop has not turned for 11 s"


def test_a_queue_that_ends_nothing_is_trouble() -> None:
    vitals = Vitals(lambda: STUCK_S_MAX + 1)

    said = vitals.trouble(0.0)

    assert said == "the queue has work and has ended none of it for 181 s"


def test_the_lag_is_the_worst_of_the_window() -> None:
    vitals = Vitals(lambda: 0.0)
    for at_s, late_s in ((0.0, 9.0), (20.0, 2.0), (25.0, 1.0), (WINDOW_S + 1, 0.5)):
        vitals.beat(at_s, late_s=late_s)

    assert vitals.lag_s == 2.0
