"""Builders of the engine's facts, with what matters to a test as keywords and the rest sensible."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from slipway_api import names
from slipway_api.compute_pool import ComputePool
from slipway_api.conditions import Reason, VerdictState
from slipway_api.model_deployment import ModelDeployment, ModelDeploymentSpec
from slipway_api.status import ModelDeploymentStatus
from slipway_operator.engine import plan
from slipway_operator.engine.facts import Observation, Record, Routing, Workload
from slipway_operator.engine.podevents import PodSeen, Terminated
from slipway_operator.engine.traffic import Backend, Traffic
from slipway_operator.engine.verdicts import GuardView, Verdict

NAME: Final = "churn"
NAMESPACE: Final = "ml"
UID: Final = "5f0c2b1e-0000-4000-8000-000000000001"
PORT: Final = 10_000
START: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DIGEST: Final = "sha256:" + "0" * 64
ROUTERS: Final = (("router-a", "10.1.0.1"), ("router-b", "10.1.0.2"))

Step = tuple[int, str] | tuple[int, str, bool]
DEFAULT_STEPS: Final[tuple[Step, ...]] = ((5, "60s"), (50, "60s"))


def at(seconds: float) -> datetime:
    """Name a moment by the seconds since the tests' beginning of time."""
    return START + timedelta(seconds=seconds)


def spec(
    version: str = "1",
    *,
    replicas: int = 2,
    steps: Iterable[Step] = DEFAULT_STEPS,
    strategy: str | dict[str, Any] = "canary",
    pool: str = "cpu",
    insufficient: dict[str, str] | None = None,
    **fields: Any,
) -> ModelDeploymentSpec:
    """A specification; `version` is the model's, `fields` are merged over the rest.

    `steps` matter to a canary only; `strategy` is its name, or all of it as a user writes it.
    """
    canary = {
        "steps": [{"weight": step[0], "hold": step[1], "pause": any(step[2:])} for step in steps]
    }
    body: dict[str, Any] = {
        "model": {
            "name": NAME,
            "version": version,
            "uri": f"s3://models/{NAME}/{version}",
            "digest": DIGEST,
        },
        "compute": {"pool": pool, "replicas": replicas},
        "strategy": {strategy: canary if strategy == "canary" else {}}
        if isinstance(strategy, str)
        else strategy,
        "analysis": {"insufficient": insufficient or {}},
    }
    for key, value in fields.items():
        body[key] = body.get(key, {}) | value
    return ModelDeploymentSpec.model_validate(body)


def revision(version: str = "1", **fields: Any) -> str:
    """Name the revision of a specification."""
    return plan.revision_name(NAME, spec(version, **fields))


def deployment(
    wanted: ModelDeploymentSpec | None = None,
    *,
    status: ModelDeploymentStatus | None = None,
    generation: int = 1,
    command: str | None = None,
) -> ModelDeployment:
    """A ModelDeployment as the API server gives it."""
    annotations = {} if command is None else {names.ANNOTATION_COMMAND: command}
    return ModelDeployment.model_validate(
        {
            "metadata": {
                "name": NAME,
                "namespace": NAMESPACE,
                "uid": UID,
                "generation": generation,
                "annotations": annotations,
            },
            "spec": wanted or spec(),
            "status": status or ModelDeploymentStatus(),
        }
    )


def pod(name: str = "pod-0", *, is_ready: bool = True, **fields: Any) -> PodSeen:
    """A pod that serves, or one that has just been started."""
    ready_since_s = START.timestamp() if is_ready else None
    values: dict[str, Any] = {
        "name": name,
        "revision": revision(),
        "host": "10.0.0.1",
        "phase": "Running" if is_ready else "Pending",
        "is_ready": is_ready,
        "is_terminating": False,
        "is_node_ready": True,
        "created_at_s": START.timestamp(),
        "ready_since_s": ready_since_s,
        "restarts": 0,
        "waiting_reason": None,
        "waiting_message": "",
        "terminated": None,
        "last_terminated": None,
        "was_ready": is_ready,
    }
    return PodSeen(**(values | fields))


def crashed(name: str = "pod-0", *, now: datetime, code: int = 139, **fields: Any) -> PodSeen:
    """A pod that served and whose container has ended by itself."""
    end = Terminated(code, "Error", "", now.timestamp())
    return pod(name, is_ready=False, was_ready=True, terminated=end, **fields)


def workload(
    name: str | None = None,
    *,
    pods: Iterable[PodSeen] | None = None,
    replicas: int | None = 2,
    cluster_ip: str | None = "10.96.0.1",
) -> Workload:
    """The pods of a revision, by default as many that serve as are asked for."""
    name = name or revision()
    if pods is None:
        pods = (
            pod(f"{name}-{index}", revision=name, host=f"10.0.0.{index}")
            for index in range(replicas or 0)
        )
    found = tuple(pods)
    ready = sorted(one.host for one in found if one.is_ready and not one.is_terminating)
    return Workload(name, replicas, tuple(ready), cluster_ip, found)


def record(
    name: str, number: int, *, identity: str | None = None, digest: str | None = DIGEST
) -> Record:
    """A kept revision, named after its specification unless told otherwise."""
    return Record(name, number, identity or name, digest)


def backend(name: str | None = None, *, endpoints: tuple[str, ...] = ("10.0.0.0",)) -> Backend:
    """A revision as a destination."""
    return Backend(name or revision(), endpoints, "10.96.0.1", names.PORT_HTTP, names.PORT_GRPC)


def traffic(**fields: Any) -> Traffic:
    """What routers were asked for: everything to stable, unless told otherwise."""
    values: dict[str, Any] = {
        "namespace": NAMESPACE,
        "name": NAME,
        "port": PORT,
        "stable": backend(),
        "candidate": None,
        "weight_percent": 0,
        "drain": (),
        "timeout_s": 60.0,
        "per_try_timeout_s": None,
        "retry": "any",
        "salt": "",
        "is_logged": False,
    }
    return Traffic(**(values | fields))


def routing(**fields: Any) -> Routing:
    """Two routers that do what they were asked for and get the clients."""
    values: dict[str, Any] = {
        "port": PORT,
        "applied": traffic(),
        "is_verified": True,
        "unconfirmed": (),
        "routers": ROUTERS,
        "published": tuple(address for _, address in ROUTERS),
    }
    return Routing(**(values | fields))


def verdict(gate: str, state: VerdictState, **fields: Any) -> Verdict:
    """A gate's verdict with some numbers."""
    values: dict[str, Any] = {
        "gate": gate,
        "state": state,
        "reason": Reason.ERRORS,
        "message": "candidate 2 of 100, stable 1 of 1000",
        "candidate_count": 100,
        "candidate_bad_count": 2,
        "stable_count": 1000,
        "stable_bad_count": 1,
        "have": 100,
        "need": 0,
    }
    return Verdict(**(values | fields))


def guard(rollout: str, *verdicts: Verdict, **fields: Any) -> GuardView:
    """What the guard says of a rollout."""
    values: dict[str, Any] = {
        "rollout": rollout,
        "verdicts": verdicts,
        "is_shedding": False,
        "evidence": "{}",
        "stable_latency_s_p999": None,
    }
    return GuardView(**(values | fields))


def observation(seen: ModelDeployment | None = None, **fields: Any) -> Observation:
    """One look at a deployment whose first revision serves."""
    name = revision()
    values: dict[str, Any] = {
        "deployment": seen or deployment(),
        "pool": ComputePool(),
        "records": (record(name, 1),),
        "workloads": (workload(name),),
        "conflicts": (),
        "routing": routing(),
        "guard": None,
    }
    return Observation(**(values | fields))
