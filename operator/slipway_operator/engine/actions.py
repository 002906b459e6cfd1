"""Actions: what a decision asks the shell to do, as values."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from slipway_api.analysis import Analysis
from slipway_api.status import ModelDeploymentStatus, QueryState
from slipway_operator.engine.traffic import Traffic


@dataclass(frozen=True, slots=True)
class RecordRevision:
    """Keep what the pods of a new revision are made from, before there is any.

    `identity` is the name that the specification alone gives a revision.
    """

    revision: str
    number: int
    identity: str


@dataclass(frozen=True, slots=True)
class RecordDigest:
    """Keep what the first pod of a revision loaded; every later one must load the same."""

    revision: str
    digest: str


@dataclass(frozen=True, slots=True)
class EnsureWorkload:
    """Let a revision have its Deployment with so many pods, its Service and disruption budget."""

    revision: str
    replicas: int


@dataclass(frozen=True, slots=True)
class RemoveRevision:
    """Delete a revision that is no longer kept, with everything that was made for it."""

    revision: str


@dataclass(frozen=True, slots=True)
class PublishAddress:
    """Send the clients of the deployment's own Service to these router addresses, at this port."""

    port: int
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeadToPods:
    """Let the deployment's own Service select the pods of a revision."""

    revision: str


@dataclass(frozen=True, slots=True)
class LeadPreview:
    """Let the deployment's preview Service select the pods of a revision."""

    revision: str


@dataclass(frozen=True, slots=True)
class RemovePreview:
    """Delete the deployment's preview Service."""


@dataclass(frozen=True, slots=True)
class WithdrawAddress:
    """Send the clients of the deployment's own Service to no router any more."""


@dataclass(frozen=True, slots=True)
class SweepEndpoints:
    """Delete what Kubernetes made for the deployment's own Service while it selected pods.

    `slices` are the names of EndpointSlices; the Endpoints object has the Service's name.
    """

    slices: tuple[str, ...]


Action = (
    RecordRevision
    | RecordDigest
    | EnsureWorkload
    | RemoveRevision
    | PublishAddress
    | LeadToPods
    | LeadPreview
    | RemovePreview
    | WithdrawAddress
    | SweepEndpoints
)


@dataclass(frozen=True, slots=True)
class Watch:
    """Let the guard judge this rollout; None in a decision ends the judging.

    `is_anew`: it forgets what it has measured so far.
    """

    rollout: str
    candidate: str
    stable: str
    analysis: Analysis
    per_try_timeout_s: float | None
    step_index: int
    evidence: str | None
    phi: float | None
    step_started_at: datetime | None = None
    weighted_at: datetime | None = None
    queries: tuple[QueryState, ...] = ()
    is_anew: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """Something to tell people as an Event; `identity` makes it unique within the deployment."""

    type: Literal["Normal", "Warning"]
    reason: str
    action: str
    message: str
    identity: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything that follows from one look.

    `traffic` None leaves the routers as they are. `wake_at` is when to look again if nothing
    happens before, None: never.
    """

    status: ModelDeploymentStatus
    actions: tuple[Action, ...]
    traffic: Traffic | None
    watch: Watch | None
    notes: tuple[Note, ...]
    wake_at: datetime | None
