"""Lanes, wake-up times and failures of keys."""

from slipway_operator.shell.schedule import Schedule


def schedule() -> Schedule[str]:
    return Schedule(lambda count: float(count))


def take_all(plan: Schedule[str]) -> list[str]:
    taken = []
    while (key := plan.take()) is not None:
        taken.append(key)
    return taken


def test_a_key_waits_at_most_once() -> None:
    plan = schedule()

    for _ in range(3):
        plan.add("a")
    plan.add("b")

    assert take_all(plan) == ["a", "b"]


def test_urgent_keys_go_first_and_keep_their_order() -> None:
    plan = schedule()

    plan.add("a")
    plan.add("b")
    plan.add("b", urgent=True)
    plan.add("c", urgent=True)
    plan.add("b")

    assert take_all(plan) == ["b", "c", "a"]


def test_an_urgent_worker_takes_only_urgent_keys() -> None:
    plan = schedule()
    plan.add("a")
    plan.add("b", urgent=True)

    assert plan.take(urgent_only=True) == "b"
    assert plan.take(urgent_only=True) is None


def test_a_key_never_runs_twice_at_a_time_but_again_afterwards() -> None:
    plan = schedule()
    plan.add("a")
    assert plan.take() == "a"

    plan.add("a")
    plan.add("a", urgent=True)
    assert plan.take() is None
    plan.finish("a")

    assert plan.take(urgent_only=True) == "a"
    plan.finish("a")
    assert plan.take() is None


def test_of_several_wake_up_times_the_earliest_holds() -> None:
    plan = schedule()

    plan.add_at("a", 5.0)
    plan.add_at("a", 3.0)
    plan.add_at("a", 9.0)

    assert plan.next_due_s() == 3.0
    plan.wake(2.9)
    assert plan.take() is None
    plan.wake(3.0)
    assert plan.take() == "a"
    plan.finish("a")
    assert plan.next_due_s() is None


def test_a_run_takes_the_wake_up_time_with_it() -> None:
    plan = schedule()
    plan.add_at("a", 5.0)

    plan.add("a")

    assert plan.take() == "a"
    assert plan.next_due_s() is None


def test_a_key_that_wakes_while_it_runs_runs_again() -> None:
    plan = schedule()
    plan.add("a")
    plan.take()
    plan.add_at("a", 5.0)

    plan.wake(5.0)
    assert plan.take() is None
    plan.finish("a")

    assert plan.take() == "a"


def test_failures_in_a_row_lengthen_the_pause_and_success_ends_the_row() -> None:
    plan = schedule()

    pauses = []
    for _ in range(3):
        plan.add("a")
        plan.take()
        pauses.append(plan.fail("a", 100.0))
    plan.add("a")
    plan.take()
    plan.finish("a")
    plan.add("a")
    plan.take()

    assert [*pauses, plan.fail("a", 100.0)] == [1.0, 2.0, 3.0, 1.0]
    assert plan.next_due_s() == 101.0


def test_news_end_the_pause_after_a_failure() -> None:
    plan = schedule()
    plan.add("a")
    plan.take()
    plan.fail("a", 100.0)

    plan.add("a")

    assert plan.take() == "a"


def test_a_forgotten_key_does_not_wake_up() -> None:
    plan = schedule()
    plan.add_at("a", 5.0)
    plan.add_at("b", 6.0)

    plan.forget("a")
    plan.wake(10.0)

    assert take_all(plan) == ["b"]
