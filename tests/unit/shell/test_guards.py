"""Guards on duty: whom they judge, and what they forget when they are told to."""

from collections.abc import Callable
from dataclasses import replace

from slipway_api.analysis import Analysis
from slipway_operator.engine.actions import Watch
from slipway_operator.engine.guard import TICK_S
from slipway_operator.engine.traffic import Opening
from slipway_operator.shell.guards import Guards, Owner
from tests.unit.engine.streams import CANDIDATE, STABLE, START_S, attempt

OWNER = ("ml", "churn")  # whose attempts `streams` makes
WATCH = Watch(
    rollout="r1",
    candidate=CANDIDATE,
    stable=STABLE,
    analysis=Analysis(),
    per_try_timeout_s=1.0,
    step_index=0,
    evidence=None,
    phi=None,
)


class NoPolls:
    """No gate asks Prometheus."""

    def post(self, *_: object) -> None: ...

    def view(self, _: object) -> None:
        return None


def _guards(wake: Callable[[Owner, bool], None] = lambda *_: None) -> Guards:
    return Guards(
        opening=lambda _: Opening(50),
        last_heard_s=lambda: 0.0,
        wake=wake,
        polls=NoPolls(),
    )


def _convict(guards: Guards) -> None:
    """Let all of the candidate's attempts fail, and none of stable's."""
    guards.post(OWNER, WATCH)
    for number in range(100):
        at_s = START_S + TICK_S * number
        guards.observe(attempt(f"c{number}", at_s, revision=CANDIDATE, status=500))
        guards.observe(attempt(f"s{number}", at_s, revision=STABLE, host=f"s-{number % 2}"))
    post = guards._posts[OWNER]
    for _ in range(200):
        guards._tick(OWNER, post, is_alive=True)
        if post.guard.is_convicted:
            return
    raise AssertionError("never convicted")


def test_a_guard_that_is_to_begin_anew_forgets_its_conviction() -> None:
    guards = _guards()
    _convict(guards)
    convicted = guards.view(OWNER)

    guards.post(OWNER, replace(WATCH, is_anew=True))

    anew = guards.view(OWNER)
    assert convicted is not None
    assert convicted.failed is not None
    assert anew is not None
    assert anew.failed is None


def test_a_guard_that_is_told_of_another_step_keeps_its_conviction() -> None:
    guards = _guards()
    _convict(guards)

    guards.post(OWNER, replace(WATCH, step_index=1))

    view = guards.view(OWNER)
    assert view is not None
    assert view.failed is not None


def test_a_budget_that_is_spent_is_told_at_once() -> None:
    told: list[bool] = []
    guards = _guards(lambda _, is_failed: told.append(is_failed))
    guards.post(OWNER, replace(WATCH, analysis=Analysis(max_bad_answers=2)))
    post = guards._posts[OWNER]

    for number in range(2):
        guards.observe(attempt(f"{number}", START_S, revision=CANDIDATE, status=500))
        guards._tick(OWNER, post, is_alive=True)

    assert [False, True] == told
