"""Alertmanager's call at the operator: it hastens a look, and nothing in it is believed.

Whether an alert fires is read from Prometheus, so that a forged call changes nothing. The answer
comes once the abort that follows stands in the status; Alertmanager calls again otherwise.
"""

import asyncio
import hmac
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from aiohttp import web

from slipway_api.conditions import VerdictState
from slipway_api.status import ModelDeploymentStatus
from slipway_operator.adapters import alertmanager
from slipway_operator.adapters import kube_resources as kinds
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_errors import ApiError
from slipway_operator.engine import alerts
from slipway_operator.engine.alerts import Owner
from slipway_operator.shell.polls import Polls

PATH: Final = "/alerts"
CALL_COUNT_MAX: Final = 16  # at a time; a storm waits for the next call or the next poll
RECORDED_TIMEOUT_S: Final = 8.0  # Alertmanager gives up after 10 s by default, and comes again
ASK_AGAIN_S: Final = 0.1
TOKEN_BYTES_MIN: Final = 16

_log = logging.getLogger(__name__)


class AlertHook:
    """Answers `POST /alerts`."""

    def __init__(
        self,
        client: KubeClient,
        polls: Polls,
        *,
        token_file: Path | None,
        is_active: Callable[[], bool],
    ) -> None:
        """`token_file` None: nobody may call. `is_active` False: another operator is to be asked.

        The file is read at each call, so that a new token counts as soon as it is there.
        """
        self._client, self._polls = client, polls
        self._token_file = token_file
        self._is_active = is_active
        self._call_count = 0

    def route(self) -> web.RouteDef:
        """Make the route for the operator's HTTP port."""
        return web.post(PATH, self._answer)

    async def _answer(self, request: web.Request) -> web.Response:
        if not self._is_allowed(request.headers.get("Authorization", "")):
            return _said(401, "a bearer token is expected: see docs/analysis.md")
        if not self._is_active():
            return _said(503, "this operator is not the one that decides")
        if self._call_count >= CALL_COUNT_MAX:
            return _said(503, "too many calls at a time: alerts are polled anyway")
        self._call_count += 1
        try:
            return await self._take(await request.read())
        finally:
            self._call_count -= 1

    def _is_allowed(self, authorization: str) -> bool:
        if self._token_file is None:
            return False
        try:
            token = self._token_file.read_bytes().strip()
        except OSError as error:
            _log.warning("no call of Alertmanager can be taken, its token is missing: %s", error)
            return False
        scheme, _, given = authorization.partition(" ")
        is_same = hmac.compare_digest(given.strip().encode("utf-8", "replace"), token)
        return is_same and scheme.lower() == "bearer" and len(token) >= TOKEN_BYTES_MIN

    async def _take(self, body: bytes) -> web.Response:
        try:
            named = alertmanager.named(body)
        except alertmanager.WrongCallError as error:
            return _said(400, str(error))
        owners = {
            owner for name, labels in named for owner in self._polls.asking_about(name, labels)
        }
        if not owners:
            return _said(200, "no rollout that runs has a gate for these alerts")
        seen = await self._polls.look()
        if seen is None or seen.firing is None:
            return _said(503, seen.problem if seen else "the operator knows no Prometheus")
        failed = [owner for owner in owners if self._has_failed(owner)]
        if not failed:
            return _said(200, "looked: no alert began since a candidate has weight")
        if not await self._are_recorded(failed):
            return _said(503, "an abort is under way and not yet in the status")
        return _said(200, "aborted: " + ", ".join(f"{ns}/{name}" for ns, name in sorted(failed)))

    def _has_failed(self, owner: Owner) -> bool:
        view = self._polls.view(owner)
        return view is not None and any(
            verdict.state is VerdictState.FAIL and verdict.gate.startswith(alerts.GATE_PREFIX)
            for verdict in view.verdicts
        )

    async def _are_recorded(self, owners: Iterable[Owner]) -> bool:
        """Wait until the status of each deployment tells of an abort, or of no rollout."""
        try:
            async with asyncio.timeout(RECORDED_TIMEOUT_S):
                for owner in owners:
                    while not await self._is_recorded(owner):
                        await asyncio.sleep(ASK_AGAIN_S)
        except TimeoutError:
            return False
        return True

    async def _is_recorded(self, owner: Owner) -> bool:
        try:
            found = await self._client.find(kinds.MODEL_DEPLOYMENTS, owner[1], namespace=owner[0])
        except ApiError:
            return False
        if found is None:
            return True
        rollout = ModelDeploymentStatus.model_validate(found.get("status") or {}).rollout
        return rollout is None or rollout.abort is not None


def _said(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text + "\n")
