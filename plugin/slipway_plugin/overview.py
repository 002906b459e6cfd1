"""Everything that a screen shows of one deployment: itself, its kept revisions, pods and Events."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from slipway_plugin import contract, deployment
from slipway_plugin.deployment import Deployment, Object, Revision


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a revision; `state` is what keeps it from being ready, in a word."""

    name: str
    revision: str
    state: str
    is_troubled: bool
    restarts: int
    node: str
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was told about the deployment."""

    at: datetime | None
    is_warning: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Overview:
    """A deployment and what belongs to it; `missing` says what could not be read and why."""

    deployment: Deployment
    revisions: tuple[Revision, ...] = ()
    pods: tuple[Pod, ...] = ()
    events: tuple[Event, ...] = ()
    missing: tuple[str, ...] = ()

    def revision(self, name: str | None) -> Revision | None:
        """Find a kept revision by its name."""
        return next((kept for kept in self.revisions if kept.name == name), None)


def collect(
    found: Object,
    related: Iterable[Object],
    *,
    events: Iterable[Object] = (),
    missing: Iterable[str] = (),
) -> Overview:
    """Put together what was read; `related` holds pods and kept revisions, of any deployment."""
    seen = deployment.read(found)
    own = [
        item
        for item in related
        if item["metadata"].get("namespace") == seen.namespace
        and (item["metadata"].get("labels") or {}).get(contract.LABEL_DEPLOYMENT) == seen.name
    ]
    records = [item for item in own if item.get("kind") == "ControllerRevision"]
    pods = [pod_of(item) for item in own if item.get("kind") == "Pod"]
    roles = {side.revision: place for place, side in enumerate(seen.sides)}
    told = [_event(item) for item in events]
    return Overview(
        deployment=seen,
        revisions=deployment.read_revisions(records),
        pods=tuple(sorted(pods, key=lambda pod: (roles.get(pod.revision, len(roles)), pod.name))),
        events=tuple(sorted(told, key=lambda event: event.at.timestamp() if event.at else 0.0)),
        missing=tuple(missing),
    )


def pod_of(item: Object) -> Pod:
    """Read a pod: ready, ending, or what holds it up."""
    metadata, status = item["metadata"], item.get("status") or {}
    containers = status.get("containerStatuses") or []
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    is_ready = (conditions.get("Ready") or {}).get("status") == "True"
    waiting = next(
        (
            state["waiting"].get("reason", "")
            for state in (container.get("state") or {} for container in containers)
            if "waiting" in state
        ),
        "",
    )
    scheduled = conditions.get("PodScheduled") or {}
    state = "ready" if is_ready else waiting or status.get("phase", "Unknown")
    if scheduled.get("status") == "False":
        state = scheduled.get("reason", "Unschedulable")
    if "deletionTimestamp" in metadata:
        state = "ending"
    return Pod(
        name=metadata["name"],
        revision=(metadata.get("labels") or {}).get(contract.LABEL_REVISION, ""),
        state=state,
        is_troubled=state not in ("ready", "ending", "ContainerCreating", "Pending", "Running"),
        restarts=sum(container.get("restartCount", 0) for container in containers),
        node=(item.get("spec") or {}).get("nodeName", ""),
        created_at=deployment.time_of(metadata.get("creationTimestamp")),
    )


def _event(item: Object) -> Event:
    series = (item.get("series") or {}).get("lastObservedTime")
    last = series or item.get("lastTimestamp") or item.get("eventTime")
    return Event(
        at=deployment.time_of(last or item["metadata"].get("creationTimestamp")),
        is_warning=item.get("type") == "Warning",
        reason=item.get("reason", ""),
        message=item.get("message", ""),
    )
