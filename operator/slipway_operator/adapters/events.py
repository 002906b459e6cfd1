"""Kubernetes Events on ModelDeployments: what `kubectl describe` tells a newcomer.

Events are told, never relied upon: recording returns at once, and whatever goes wrong in sending
ends here.
"""

import asyncio
import hashlib
import logging
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from slipway_api.names import API_VERSION, GROUP, MODEL_DEPLOYMENT_KIND
from slipway_api.status import clip
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_errors import ApiError, Conflict, Unreachable
from slipway_operator.adapters.kube_http import Object
from slipway_operator.adapters.kube_resources import EVENTS

QUEUE_LENGTH_MAX: Final = 256  # an outage loses the oldest events, not memory
TRY_COUNT_MAX: Final = 5
RETRY_PAUSE_S: Final = 2.0
# Limits of events.k8s.io/v1 (pkg/apis/core/validation/events.go).
NOTE_BYTES_MAX: Final = 1024
WORD_LENGTH_MAX: Final = 128
CONTROLLER: Final = f"{GROUP}/operator"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Subject:
    """The ModelDeployment that an event is about."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Notice:
    """One event to tell.

    `reason` is one of the contract's words, `action` what was done or attempted (a verb phrase in
    CamelCase), `note` one or two sentences for people. `identity` makes the event unique: the same
    identity of one subject is told once, also when a restarted operator repeats it.
    """

    subject: Subject
    type: Literal["Normal", "Warning"]
    reason: str
    action: str
    note: str
    identity: str


class EventRecorder:
    """Sends notices in the background; lives in the event loop that runs `run`."""

    def __init__(self, client: KubeClient, *, instance: str) -> None:
        """`instance` names this operator process, e.g. its pod."""
        self._client = client
        self._instance = instance
        self._waiting: deque[tuple[Notice, datetime]] = deque(maxlen=QUEUE_LENGTH_MAX)
        self._has_work = asyncio.Event()

    def record(self, notice: Notice, *, at: datetime) -> None:
        """Take a notice to be sent soon; never fails and never waits. `at` is aware, UTC."""
        self._waiting.append((notice, at))
        self._has_work.set()

    async def run(self) -> None:
        """Send notices in order until cancelled."""
        while True:
            while self._waiting:
                notice, at = self._waiting.popleft()
                await self._send(event_of(notice, at=at, instance=self._instance))
            self._has_work.clear()
            await self._has_work.wait()

    async def _send(self, event: Object) -> None:
        for _ in range(TRY_COUNT_MAX):
            try:
                await self._client.create(EVENTS, event)
            except Conflict:  # told before
                return
            except Unreachable:
                await asyncio.sleep(RETRY_PAUSE_S)
            except ApiError as error:
                logger.warning("event %s was not taken: %s", event["metadata"]["name"], error)
                return
            else:
                return
        logger.warning("event %s was not sent: no API server", event["metadata"]["name"])


def event_of(notice: Notice, *, at: datetime, instance: str) -> Object:
    """Make the Event object of a notice."""
    subject = notice.subject
    words = "\0".join((subject.uid, notice.type, notice.reason, notice.action, notice.identity))
    digest = hashlib.sha256(words.encode()).hexdigest()[:16]
    return {
        "metadata": {"namespace": subject.namespace, "name": f"{subject.name}.{digest}"},
        "eventTime": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "type": notice.type,
        "reason": notice.reason[:WORD_LENGTH_MAX],
        "action": notice.action[:WORD_LENGTH_MAX],
        "note": clip(notice.note, NOTE_BYTES_MAX),
        "reportingController": CONTROLLER,
        "reportingInstance": instance[:WORD_LENGTH_MAX],
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": MODEL_DEPLOYMENT_KIND,
            "namespace": subject.namespace,
            "name": subject.name,
            "uid": subject.uid,
        },
    }
