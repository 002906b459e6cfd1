"""A hundred deployments that nobody changes: what the operators take, and no request of a client.

Every one has a real pod that serves the identity model.
"""

import time
from pathlib import Path
from typing import Final

from bench import costs, ledger
from bench.scene import Scene, manifest
from bench.stage import Target
from bench.trial import OPERATOR, Models, Trial, names_of

NAMESPACE: Final = "idle"
SCENARIO: Final = "idle"
AT_ONCE: Final = 10  # starts of pods on a small machine
STARTED_S: Final = 300.0
SETTLED_S: Final = 60.0  # what starting them left to do is not idleness


class Idleness:
    """So many deployments, for the length of a play."""

    def __init__(self, scene: Scene, source: Models, *, folder: Path) -> None:
        self._scene = scene
        self._trial = Trial(scene, source, target=Target(NAMESPACE, SCENARIO), folder=folder)

    def play(self, count: int, *, seconds: float) -> Path:
        """Make the deployments, watch the operators, remove them; gives the ledger."""
        targets = [Target(NAMESPACE, f"idle-{index:03}") for index in range(count)]
        for first in range(0, count, AT_ONCE):
            some = targets[first : first + AT_ONCE]
            self._scene.apply(*(manifest(target) for target in some))
            for target in some:
                self._scene.serves(target, timeout_s=STARTED_S)
        time.sleep(SETTLED_S)
        pods = names_of(self._trial.system_pods(OPERATOR))
        with ledger.Writer(self._trial.ledger) as writer:
            writer.write(ledger.Run(time.time(), "", SCENARIO, replicas=count, rate=0.0))
            writer.write(costs.watch(self._scene, pods, seconds=seconds))
        self._scene.delete(*targets)
        return self._trial.ledger
