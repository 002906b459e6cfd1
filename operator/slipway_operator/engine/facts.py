"""What the shell saw, in one frozen value; absence is None, never an exception."""

from dataclasses import dataclass

from slipway_api.compute_pool import ComputePool
from slipway_api.model_deployment import ModelDeployment
from slipway_operator.engine.podevents import PodSeen
from slipway_operator.engine.room import Needs, Node
from slipway_operator.engine.traffic import Opening, Traffic
from slipway_operator.engine.verdicts import GuardView


@dataclass(frozen=True, slots=True)
class Workload:
    """The pods of one revision.

    `replicas` is what its Deployment asks for (None: there is no Deployment yet). `endpoints` are
    the addresses of pods that are ready and not on their way out, sorted. `cluster_ip` is that of
    its Service, None if it has none yet. `digest` is what its first ready pod says that it loaded:
    None: there is none to ask, empty: it does not tell.
    """

    revision: str
    replicas: int | None
    endpoints: tuple[str, ...]
    cluster_ip: str | None
    pods: tuple[PodSeen, ...]
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A kept revision: what its pods are made from stands in a ControllerRevision.

    `identity` is the name that its specification alone gives; several revisions may share it.
    `digest` is what its pods must load, by the specification or as recorded; None: not known yet.
    `needs` is what its pods need of their nodes.
    """

    revision: str
    number: int
    identity: str
    digest: str | None = None
    needs: Needs | None = None


@dataclass(frozen=True, slots=True)
class Routing:
    """What routers were asked for since this process started, and what they are seen to do.

    `applied` is None before the first push. `is_verified`: every ready router has accepted it and
    shows it on fresh connections. `unconfirmed` are the ready routers of which that is not known,
    `router_count` how many are ready. `published` are the addresses that clients are sent to.
    `lost` are ready routers whose stream to the operator has ended and that answer nobody either:
    Kubernetes takes most of a minute to see that of a node.
    `found` counts before the first push only: what of status's opening to the candidate this
    process found at every router; None if it was all of it, or cannot be told.
    """

    port: int | None
    applied: Traffic | None
    is_verified: bool
    unconfirmed: tuple[str, ...]
    routers: tuple[tuple[str, str], ...]  # (name, address) of every ready router pod, sorted
    published: tuple[str, ...]
    lost: tuple[str, ...] = ()
    found: Opening | None = None

    @property
    def router_count(self) -> int:
        return len(self.routers)


@dataclass(frozen=True, slots=True)
class Front:
    """The Service that clients call, as it is.

    `selected` is the revision whose pods it selects by itself, None: its endpoints are ours.
    `slices` are the names of EndpointSlices that Kubernetes made for it, `has_ready_pods` whether
    one of them has somebody who answers.
    """

    selected: str | None = None
    slices: tuple[str, ...] = ()
    has_ready_pods: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at everything about one ModelDeployment.

    `conflicts` are objects of names that we want which are not ours, as "Service ml/churn".
    `pool` is None if there is no ComputePool of that name. `guard` is None if nothing is judged.
    `front` is None if clients have no Service yet. `preview` is the revision whose pods the preview
    Service selects, None: there is none. `is_detaching`: Slipway is to be taken away.
    `nodes` is None if nobody asked for them.
    """

    deployment: ModelDeployment
    pool: ComputePool | None
    records: tuple[Record, ...]
    workloads: tuple[Workload, ...]
    conflicts: tuple[str, ...]
    routing: Routing
    guard: GuardView | None
    front: Front | None = Front()
    preview: str | None = None
    is_detaching: bool = False
    nodes: tuple[Node, ...] | None = None

    def workload(self, revision: str | None) -> Workload | None:
        """Look up the pods of a revision."""
        return next((w for w in self.workloads if w.revision == revision), None)

    def record(self, revision: str | None) -> Record | None:
        """Look up what is kept of a revision."""
        return next((record for record in self.records if record.revision == revision), None)

    def stranger(self, name: str | None) -> str | None:
        """Look up an object of a name that we want which is not ours."""
        return next((one for one in self.conflicts if one.endswith(f"/{name}")), None)

    def endpoint_count(self, revision: str | None) -> int:
        """Count the pods of a revision that answer."""
        workload = self.workload(revision)
        return len(workload.endpoints) if workload else 0
