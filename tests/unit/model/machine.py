"""The machine: chance tells stories, most of them to reach a row of the table; laws look on."""

from collections import Counter
from functools import cache
from random import Random
from typing import Final

import hypothesis.strategies as st
from hypothesis import note
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.unit.model import fairness, table
from tests.unit.model.moves import MOVES, Play
from tests.unit.model.process import Process
from tests.unit.model.scenes import OPENINGS, SCENES, STORIES, Scene
from tests.unit.model.specifications import STRATEGIES, Wish
from tests.unit.model.stage import Stage
from tests.unit.model.witness import Ledger, Witness

TURNS: Final = 4
ODDS_OF_ANYTHING: Final = 0.1
ODDS_OF_MORE: Final = 0.15
ODDS_OF_REST: Final = 0.01
ALL_STORIES: Final = tuple(
    (opening, scene) for opening, scenes in STORIES.items() for scene in scenes
)


class Machine(RuleBasedStateMachine):
    """One deployment after the other, its surroundings, and one operator after the other."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger
        self._told: Counter[tuple[str, Scene]] = Counter()
        self._play: Play | None = None

    @initialize(chance=st.randoms(use_true_random=True))
    def begin(self, chance: Random) -> None:
        """Let chance choose everything from one seed, which the report of a failure names."""
        self._chance = chance

    @rule()
    def tell(self) -> None:
        """Tell some stories, those first that were told least."""
        for _ in range(TURNS):
            least = min(self._told[story] for story in ALL_STORIES)
            open_ = [one for one in ALL_STORIES if self._told[one] == least]
            opening, scene = self._chance.choice(open_)
            self._told[opening, scene] += 1
            self._open(opening)
            self._act(scene)
            while self._chance.random() < ODDS_OF_MORE:
                self._act(self._chance.choice(SCENES[self.play.stage.phase]))
            if self._chance.random() < ODDS_OF_REST:
                fairness.come_to_rest(self.play)

    @property
    def play(self) -> Play:
        assert self._play is not None, "no story has begun"
        return self._play

    def _open(self, opening: str) -> None:
        scene = OPENINGS[opening]
        is_chosen = any(move.startswith("use ") for move in scene)
        strategy = self._chance.choice(tuple(STRATEGIES))
        wish = Wish() if is_chosen else Wish(strategy=strategy)
        opened = _opened(wish, scene)
        self._play = opened.fork(self._ledger, lambda values: self._chance.choice(values))
        note(f"{opening}: {wish}")

    def _act(self, scene: Scene) -> None:
        for move in scene:
            self._do(move)
            if self._chance.random() < ODDS_OF_ANYTHING:
                self._do(self._chance.choice(tuple(MOVES)))

    def _do(self, move: str) -> None:
        """Play a move; of a story that fails, each is told with what came of it."""
        try:
            MOVES[move](self.play)
        finally:
            note(_Told(move, self.play.stage))

    def teardown(self) -> None:
        if self._play is not None:
            fairness.come_to_rest(self._play)


class _Told:
    """A move and where it led, worded only if somebody reads it."""

    def __init__(self, move: str, stage: Stage) -> None:
        self.move, self.stage = move, stage

    def __repr__(self) -> str:
        stage, said = self.stage, self.stage.status
        why = table.state_of(said).why if said.phase else ""
        shown = [
            router.does and (router.does[0], router.does[2]) for router in stage.routers.values()
        ]
        ready = {name: len(stage.workload(name).endpoints) for name in stage.revisions}
        return (
            f"{self.move}: {stage.now:%H:%M:%S.%f} {said.phase} {why} stable={said.stable}"
            f" candidate={said.candidate} weight={said.weight.asked} routers={shown} ready={ready}"
            f" published={len(stage.published)} drain={[one.revision for one in said.drain]}"
        )


@cache
def _opened(wish: Wish, opening: Scene) -> Play:
    """Play an opening, once for all that begin with it."""
    stage = Stage(wish)
    play = Play(stage, Process(stage, Witness(stage, Ledger())), lambda values: values[0])
    for move in opening:
        MOVES[move](play)
    return play
