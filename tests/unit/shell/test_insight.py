"""What the operator shows follows its decisions, and ends with the object."""

from slipway_operator.adapters.metrics import Metrics
from slipway_operator.shell.insight import Insight
from slipway_operator.shell.observe import Snapshot
from tests import builders
from tests.unit.engine.worlds import World

OWNER = (builders.NAMESPACE, builders.NAME)
LABELS = 'name="churn",namespace="ml"'


class Show:
    """A world whose decisions are shown."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.metrics = Metrics(version="1")
        self.now_s = 1000.0
        self.insight = Insight(
            self.metrics, pod="operator-a", routers=lambda: builders.ROUTERS, now_s=self.clock
        )

    def clock(self) -> float:
        return self.now_s

    def step(self, seconds: float = 0.0) -> None:
        self.now_s += seconds
        self.world.wait(seconds)
        snapshot = Snapshot(self.world.observation(), {}, "1")
        decision = self.world.step()
        self.insight.decided(snapshot, decision, self.world.now)

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.world.start_pods()
            self.world.confirm()
            self.step()

    def ends(self) -> dict[str, float]:
        """The ends of rollouts that were counted."""
        counts = self.lines("slipway_rollouts_total")
        return {labels: count for labels, count in counts.items() if count}

    def lines(self, name: str) -> dict[str, float]:
        """The samples of a metric by what is between its braces."""
        found = {}
        for line in self.metrics.text().decode().splitlines():
            series, _, value = line.rpartition(" ")
            metric, _, labels = series.partition("{")
            if metric == name:
                found[labels.rstrip("}")] = float(value)
        return found


def test_the_weight_of_a_candidate_is_shown_as_asked_and_as_verified() -> None:
    show = Show(World.rolling())

    show.step()

    assert show.lines("slipway_weight") == {
        f'kind="asked",{LABELS}': 5.0,
        f'kind="verified",{LABELS}': 5.0,
    }


def test_a_gate_shows_one_verdict_of_all() -> None:
    show = Show(World.rolling())

    show.step()

    assert show.lines("slipway_gate_verdict") == {
        f'gate="failures",{LABELS},verdict="{state}"': float(state == "pass")
        for state in ("pass", "fail", "insufficient", "unavailable")
    }


def test_both_revisions_are_told_apart_by_their_role() -> None:
    world = World.rolling()
    show = Show(world)

    show.step()

    assert show.lines("slipway_revision_info") == {
        f'{LABELS},revision="{world.status.stable}",role="stable"': 1.0,
        f'{LABELS},revision="{world.status.candidate}",role="candidate"': 1.0,
    }


def test_an_aborted_rollout_is_counted_once_with_its_cause() -> None:
    show = Show(World.rolling())
    show.world.say("abort", of=show.world.target)

    show.steps(10)

    assert show.ends() == {f'{LABELS},outcome="Aborted",reason="AbortedByUser"': 1.0}


def test_an_end_is_counted_from_0_while_the_rollout_runs() -> None:
    show = Show(World.rolling())
    show.step()

    counts = show.lines("slipway_rollouts_total")

    assert f'{LABELS},outcome="Promoted",reason="Serving"' in counts
    assert set(counts.values()) == {0.0}


def test_time_to_safe_runs_from_the_decision_to_the_last_router() -> None:
    show = Show(World.rolling())
    show.world.say("abort", of=show.world.target)
    show.step()
    show.step(0.5)
    show.world.confirm()
    show.step(0.25)

    assert show.lines("slipway_time_to_safe_seconds_count") == {"": 1.0}
    assert show.lines("slipway_time_to_safe_seconds_sum") == {"": 0.75}


def test_time_to_safe_begins_where_the_weight_was_taken_ahead_of_the_decision() -> None:
    show = Show(World.rolling())
    show.insight.lowered(OWNER)
    show.now_s += 0.5
    show.world.say("abort", of=show.world.target)
    show.steps(10)

    assert show.lines("slipway_time_to_safe_seconds_sum") == {"": 0.5}


def test_a_rollout_that_is_promoted_was_never_unsafe() -> None:
    show = Show(World.rolling())
    for _ in range(20):
        show.step(60)
        show.steps(2)

    assert show.lines("slipway_time_to_safe_seconds_count") == {"": 0.0}
    assert show.ends() == {f'{LABELS},outcome="Promoted",reason="Serving"': 1.0}


def test_series_end_with_the_object() -> None:
    show = Show(World.rolling())
    show.step()

    show.insight.forget(OWNER)

    assert b'name="churn"' not in show.metrics.text()
    assert [entry["labels"]["component"] for entry in show.insight.targets("10.2.0.1")] == [
        "operator",
        "router",
        "router",
    ]


def test_targets_are_the_pods_of_both_revisions() -> None:
    show = Show(World.rolling())
    show.step()

    roles = [e["labels"].get("role") for e in show.insight.targets(None)]

    assert sorted(role for role in roles if role) == ["candidate", "stable", "stable"]
