"""Polling a real Prometheus for the gates of a rollout, through an outage too."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from bench import monitoring
from bench.monitoring import Numbers, Program
from slipway_api.analysis import Analysis
from slipway_api.conditions import Reason, VerdictState
from slipway_operator.adapters.prometheus import Prometheus
from slipway_operator.engine.actions import Watch
from slipway_operator.engine.sources import SourcesView
from slipway_operator.shell.polls import ALERTS_EVERY_S, Polls

pytestmark = pytest.mark.contract

OWNER: Final = ("ml", "churn")
DEADLINE_S: Final = 30.0
SLACK_S: Final = 2.0  # what an answer takes on a busy machine
AWAY_S: Final = 6.0
QUERY: Final = {
    "name": "business",
    "query": 'sum(value{revision=~"{{candidate}}|x", revision!={{stable}}})',
    "min": 0.9,
    "interval": "1s",
}


def watch(analysis: dict[str, object]) -> Watch:
    now = datetime.now(UTC)
    return Watch(
        rollout="r",
        candidate="churn-2",
        stable="churn-1",
        analysis=Analysis.model_validate(analysis),
        per_try_timeout_s=None,
        step_index=0,
        evidence=None,
        phi=None,
        step_started_at=now,
        weighted_at=now,
    )


@asynccontextmanager
async def polled(program: Program, analysis: dict[str, object]) -> AsyncIterator[Polls]:
    polls = Polls(Prometheus(program.url))
    polls.post(OWNER, watch(analysis))
    running = asyncio.create_task(polls.run())
    try:
        yield polls
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await polls.close()


async def until(polls: Polls, is_there: Callable[[SourcesView], bool]) -> SourcesView:
    deadline_s = time.monotonic() + DEADLINE_S
    while True:
        view = polls.view(OWNER)
        assert view is not None
        if is_there(view):
            return view
        assert time.monotonic() < deadline_s, view
        await asyncio.sleep(0.02)


async def test_an_alert_is_seen_by_polling_alone(tmp_path: Path) -> None:
    numbers = Numbers(broken=0)
    rule = monitoring.alert("Broken", "broken == 1", namespace="ml", modeldeployment="churn")
    with numbers.served() as target:
        program = monitoring.prometheus(tmp_path / "p", targets=(target,), rules=(rule,))
        await asyncio.to_thread(program.start)
        try:
            async with polled(program, {"alerts": [{"name": "Broken"}]}) as polls:
                await until(polls, lambda view: view.verdicts[0].state is VerdictState.PASS)
                numbers.values["broken"] = 1
                view = await until(polls, lambda view: view.verdicts[0].state is VerdictState.FAIL)
                seen_at = datetime.now(UTC)
                alerts = await Prometheus(program.url).alerts()
        finally:
            await asyncio.to_thread(program.stop)

    assert alerts.firing
    seen_s = (seen_at - alerts.firing[0].began_at).total_seconds()
    assert seen_s <= ALERTS_EVERY_S + SLACK_S
    assert Reason.ALERT_FIRING is view.verdicts[0].reason


async def test_an_outage_is_measured_from_the_last_number_to_the_next(tmp_path: Path) -> None:
    numbers = Numbers(**{'value{revision="churn-2"}': 0.95})
    with numbers.served() as target:
        program = monitoring.prometheus(tmp_path / "p", targets=(target,))
        await asyncio.to_thread(program.start)
        try:
            async with polled(program, {"metrics": [QUERY]}) as polls:
                await until(polls, lambda view: view.verdicts[0].value == 0.95)
                stopped_at = datetime.now(UTC)
                await asyncio.to_thread(program.stop)
                away = await until(polls, lambda view: view.away is not None)
                await asyncio.sleep(AWAY_S)  # the length of the outage, not a wait for something
                still = polls.view(OWNER)
                await asyncio.to_thread(program.start)
                started_at = datetime.now(UTC)
                back = await until(polls, lambda view: view.away is None)
                back_at = datetime.now(UTC)
        finally:
            await asyncio.to_thread(program.stop)

    assert away.away is not None
    assert "cannot be asked" in away.away.message
    assert still is not None
    assert away.away_since == still.away_since
    assert away.away_since is not None
    assert abs((stopped_at - away.away_since).total_seconds()) <= 1 + SLACK_S
    assert (back_at - started_at).total_seconds() <= 2 + SLACK_S
    assert 0.95 == back.verdicts[0].value
