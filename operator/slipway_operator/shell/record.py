"""Record: write status when it says something new, and numbers alone only now and then.

All writes of the process together keep a pace: what lowers a weight first, then words, and numbers
in what room is left.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from slipway_api.model_deployment import Metadata
from slipway_api.status import ModelDeploymentStatus
from slipway_operator.adapters import kube_resources as kinds
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.shell.pace import Pace, Rank

Object = dict[str, Any]
Owner = tuple[str, str]

NUMBERS_S: Final = 10.0  # evidence in status is at most this old


class Recorded(Protocol):
    """What a status is written to: an object with the status that it has."""

    @property
    def metadata(self) -> Metadata: ...

    @property
    def status(self) -> ModelDeploymentStatus: ...


class StatusWriter:
    """Applies the status of ModelDeployments; belongs to one event loop."""

    def __init__(self, client: KubeClient, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds that never run backwards."""
        self._client = client
        self._clock = clock
        self._written_s: dict[Owner, float] = {}
        self._line = _Line(clock)

    async def write(
        self, deployment: Recorded, status: ModelDeploymentStatus, *, resource_version: str
    ) -> float | None:
        """Write what is new. Gives the seconds until numbers may be written, None if none wait.

        Raises `Conflict` if the object changed since it was read, and other `ApiError`.
        """
        before, after = deployment.status, status
        if before == after:
            return None
        metadata = deployment.metadata
        owner = (metadata.namespace, metadata.name)
        if words(before) == words(after):
            age_s = self._clock() - self._written_s.get(owner, float("-inf"))
            if age_s < NUMBERS_S:
                return NUMBERS_S - age_s
            wait_s = self._line.pace.numbers_wait_s(owner, self._clock())
            if wait_s > 0:
                return wait_s
        else:
            await self._line.turn(_rank(before, after))
            self._line.pace.forget(owner)
        body = {
            "metadata": {
                "name": metadata.name,
                "namespace": metadata.namespace,
                "resourceVersion": resource_version,
            },
            "status": after.model_dump(mode="json", by_alias=True, exclude_none=True),
        }
        await self._client.apply_status(kinds.MODEL_DEPLOYMENTS, body)
        self._written_s[owner] = self._clock()
        return None

    def forget(self, owner: Owner) -> None:
        """Drop what is remembered of a deleted object."""
        self._written_s.pop(owner, None)
        self._line.pace.forget(owner)


class _Line:
    """Waits for turns as `pace` gives them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.pace = Pace()
        self._waiting: dict[int, asyncio.Future[None]] = {}  # by the number of the turn
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self, rank: Rank) -> None:
        turn = self.pace.stand(rank)
        given = self._waiting[turn.number] = asyncio.get_running_loop().create_future()
        self._give()
        try:
            await given
        finally:
            self._waiting.pop(turn.number, None)
            self.pace.leave(turn)

    def _give(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        turns, more_s = self.pace.give(self._clock())
        for turn in turns:
            given = self._waiting[turn.number]
            if not given.done():
                given.set_result(None)
        if more_s is not None:
            self._timer = asyncio.get_running_loop().call_later(more_s, self._give)


def _rank(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Rank:
    return Rank.LOWERING if after.weight.asked < before.weight.asked else Rank.WORDS


def words(status: ModelDeploymentStatus) -> Object:
    """Leave out what are numbers only: counts, rates and the sentences that quote them."""
    dump = status.model_dump(mode="json", exclude={"verdicts"})
    if dump["rollout"] is not None:
        dump["rollout"] |= {"evidence": "", "phi": None, "queries": []}
    dump["phi"] = None
    if dump["waiting"] is not None:
        dump["waiting"]["message"] = ""
    for condition in dump["conditions"]:
        condition["message"] = ""
    dump["states"] = [(verdict.gate, verdict.verdict) for verdict in status.verdicts]
    return dump
