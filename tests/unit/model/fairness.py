"""A fair world: pods come up or fail for good, routers and gates answer, time passes, nobody edits.

From wherever a play has come to, a deployment then reaches a state in which nothing is left to do,
in a bounded number of looks, and the operator looks only when it is woken or said that it would.
The look that all deployments get every few minutes is left out: nothing may need it.
"""

from datetime import timedelta
from typing import Final

from slipway_api.conditions import Outcome, Phase, Reason
from slipway_operator.engine.decide import decide
from slipway_operator.shell import record
from tests.unit.model import table
from tests.unit.model.moves import Play
from tests.unit.model.witness import Ledger, is_at_rest

LOOKS_MAX: Final = 120
PUNCTUAL_LOOKS: Final = 40
LATE: Final = timedelta(minutes=1)  # then a busy operator comes late, and to the same end
ROUNDS_AFTER_RESTART: Final = 3  # routers are told, obey, and are seen to
WAKES_MAX: Final = 400
LIFE_MAX: Final = timedelta(hours=1)

# Where a person, or whoever owns the cluster, has the next word.
OF_PEOPLE: Final = frozenset(
    {
        table.State(Phase.PAUSED, Reason.PAUSED),
        table.State(Phase.ROLLED_BACK, Reason.ROLLED_BACK),
        table.State(Phase.ROLLING_OUT, Reason.NAME_CONFLICT),
    }
)


def come_to_rest(play: Play) -> None:
    """Let the world be fair until all is done; fails if it never is."""
    stage, process = play.stage, play.process
    stage.heal()
    process.wake()
    began, looks = stage.now, 0
    for _ in range(WAKES_MAX):
        news = [stage.live(), stage.speak()]
        if any(news):
            process.wake()
        if stage.now < process.due:
            if is_over(play):
                break
            stage.now = process.due + (timedelta() if looks < PUNCTUAL_LOOKS else LATE)
            assert stage.now - began <= LIFE_MAX, f"no end after {looks} looks: {_said(play)}"
            continue
        process.run()
        looks += 1
        assert looks <= LOOKS_MAX, f"no end after {looks} looks: {_said(play)}"
    assert is_over(play), f"no end after {looks} looks: {_said(play)}"
    process.witness.ledger.rests += 1
    _everything_is_in_its_place(play)
    if play.pick((True, False, False)):
        _nothing_stirs(play.fork(Ledger(), play.pick))


def is_over(play: Play) -> bool:
    """Tell whether nothing is left to be done by anybody but a person."""
    stage = play.stage
    if not stage.is_there:
        return not stage.has_leftovers and stage.applied is None
    if not stage.is_readable:
        return table.state_of(stage.status).why == Reason.INVALID_SPECIFICATION
    if stage.has_leftovers or stage.status.drain:
        return False
    seen = stage.observation()
    if not is_at_rest(seen, decide(seen, stage.now)):
        return False
    state = table.state_of(stage.status)
    stalled = any(c.type == "Stalled" for c in stage.status.conditions)
    is_ready = any(c.type == "Ready" and c.status == "True" for c in stage.status.conditions)
    is_held = state.why == Reason.DETACHED and stage.is_detaching
    return is_ready or stalled or is_held or state in OF_PEOPLE


def _everything_is_in_its_place(play: Play) -> None:
    """Hold what is promised of a deployment at rest, whatever was before."""
    stage = play.stage
    if not stage.is_there or not stage.is_readable or stage.is_detaching:
        return
    said = stage.status
    if said.stable is None:
        assert said.phase in (Phase.FAILED, Phase.PENDING), _said(play)
        return
    if said.candidate is None:
        assert said.weight.asked == said.weight.verified == 0
        for name, mine in stage.revisions.items():
            wanted = stage.wish.replicas if name == said.stable else 0
            assert mine.replicas == wanted, f"{name} has {mine.replicas} pods: {_said(play)}"
        if said.phase == Phase.SERVING:
            is_shadowed = bool(said.history) and said.history[0].outcome == Outcome.SHADOWED
            assert said.stable == stage.target or is_shadowed, _said(play)
    if stage.strangers:
        return
    assert stage.published == tuple(one.address for one in stage.routers.values())
    for router in stage.routers.values():
        assert router.does is not None
        assert (router.does[0], router.does[2]) == (said.stable, said.weight.asked)


def _nothing_stirs(play: Play) -> None:
    """At rest nothing is written: not for an event heard twice, the same manifest, or a restart."""
    stage, process = play.stage, play.process
    before, version = record.words(stage.status), stage.resource_version
    process.run()
    stage.edit(stage.wish)
    assert stage.resource_version == version, "the same manifest is no change"
    process.run()
    process.end()
    for _ in range(ROUNDS_AFTER_RESTART):
        process.run()
        stage.live()
        stage.speak()
    process.run()
    assert record.words(stage.status) == before, f"a restart changed it: {_said(play)}"


def _said(play: Play) -> str:
    return play.stage.status_text
