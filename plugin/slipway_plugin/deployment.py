"""A ModelDeployment as the plugin sees it: values read from what kubectl gives.

Reading is tolerant: a plugin meets operators that are older and newer than itself, so whatever is
absent is None or empty, and unknown words are kept as they are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from slipway_plugin import contract

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Model:
    """Which bytes a revision serves."""

    name: str
    version: str
    uri: str
    digest: str


@dataclass(frozen=True, slots=True)
class Revision:
    """A kept revision; `sections` are the parts of the specification that made it, if kept."""

    name: str
    number: int
    model: Model | None
    sections: Object | None


@dataclass(frozen=True, slots=True)
class Side:
    """Stable or candidate, its pods and its share of live traffic."""

    role: str
    revision: str
    pods: int
    ready: int
    weight_percent: int


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate's verdict; `need` is about how many attempts more it takes, None: unforeseeable.

    `value` is the number of a gate that counts no attempts, `limit` what it is held against.
    """

    name: str
    verdict: str
    message: str
    candidate_count: int
    candidate_bad: int
    stable_count: int
    stable_bad: int
    have: int
    need: int | None
    value: float | None
    limit: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """Where the rollout is in its plan; `index` from 1."""

    index: int
    count: int
    weight_percent: int
    started_at: datetime | None
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """What has to happen before anything goes on."""

    reason: str
    message: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Past:
    """A rollout that has ended; `generation` is that of the specification that began it."""

    revision: str
    previous: str | None
    outcome: str
    reason: str
    message: str
    started_at: datetime | None
    ended_at: datetime | None
    is_unproven: bool
    generation: int | None


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition as kubectl wait reads it."""

    type: str
    is_true: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the operator said to the last command."""

    value: str
    is_accepted: bool
    message: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """A ModelDeployment at one moment. `wanted` is its specification as it stands there.

    `annotations` None: it has none, not even an empty place for them.
    """

    namespace: str
    name: str
    generation: int
    observed_generation: int
    wanted: Object
    annotations: Object | None
    phase: str
    stable: str | None
    candidate: str | None
    asked: int
    verified: int
    mirror: int
    sides: tuple[Side, ...]
    step: Step | None
    waiting: Waiting | None
    gates: tuple[Gate, ...]
    history: tuple[Past, ...]
    rejected: tuple[str, ...]
    conditions: tuple[Condition, ...]
    answer: Answer | None
    url: str
    abort: str
    is_paused_by_person: bool
    rollout_started_at: datetime | None
    rollout_generation: int | None

    @property
    def is_in_probation(self) -> bool:
        """Whether the candidate has everything, and stable is kept for a way back."""
        return self.waiting is not None and self.waiting.reason == contract.PROBATION

    @property
    def shadow(self) -> Past | None:
        """The rollout of the present specification, if it was a shadow and is over."""
        last = self.history[0] if self.history else None
        if last is None or self.candidate is not None or last.generation != self.generation:
            return None
        return last if last.outcome == contract.SHADOWED else None

    @property
    def is_seen(self) -> bool:
        """Whether the operator has looked at this specification."""
        return self.observed_generation >= self.generation

    def condition(self, kind: str) -> Condition | None:
        """Find a condition that is true."""
        return next((c for c in self.conditions if c.type == kind and c.is_true), None)

    def stated(self, kind: str) -> Condition | None:
        """Find a condition, true or not."""
        return next((c for c in self.conditions if c.type == kind), None)


def read(found: Object) -> Deployment:
    """Read a ModelDeployment."""
    metadata, status = found["metadata"], found.get("status") or {}
    weight = status.get("weight") or {}
    rollout = status.get("rollout") or {}
    abort = rollout.get("abort") or {}
    answer = status.get("command")
    return Deployment(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        generation=metadata.get("generation", 0),
        observed_generation=status.get("observedGeneration", -1),
        wanted=found.get("spec") or {},
        annotations=metadata.get("annotations"),
        phase=status.get("phase") or contract.PENDING,
        stable=status.get("stable"),
        candidate=status.get("candidate"),
        asked=weight.get("asked", 0),
        verified=weight.get("verified", 0),
        mirror=weight.get("mirror", 0),
        sides=_sides(status),
        step=_step(status.get("step")),
        waiting=_waiting(status.get("waiting")),
        gates=tuple(_gate(entry) for entry in status.get("verdicts") or ()),
        history=tuple(_past(entry) for entry in status.get("history") or ()),
        rejected=tuple(entry["revision"] for entry in status.get("rejected") or ()),
        conditions=tuple(_condition(entry) for entry in status.get("conditions") or ()),
        answer=_answer(answer) if answer else None,
        url=(status.get("address") or {}).get("url", ""),
        abort=f"{abort['reason']}: {abort.get('message', '')}" if abort else "",
        is_paused_by_person=bool(rollout.get("paused")),
        rollout_started_at=time_of(rollout.get("startedAt")),
        rollout_generation=rollout.get("generation"),
    )


def read_revisions(records: Iterable[Object]) -> tuple[Revision, ...]:
    """Read kept revisions, newest first."""
    found = [
        Revision(
            name=record["metadata"]["name"],
            number=record.get("revision", 0),
            model=_model(record.get("data") or {}),
            sections=(record.get("data") or {}).get("spec"),
        )
        for record in records
    ]
    return tuple(sorted(found, key=lambda revision: -revision.number))


def _sides(status: Object) -> tuple[Side, ...]:
    pods = status.get("replicas") or {}
    verified = (status.get("weight") or {}).get("verified", 0)
    shares = {"candidate": verified, "stable": 100 - verified}
    return tuple(
        Side(role, status[role], pods.get(role, 0), pods.get(f"{role}Ready", 0), shares[role])
        for role in ("candidate", "stable")
        if status.get(role)
    )


def _step(entry: Object | None) -> Step | None:
    if not entry:
        return None
    return Step(
        index=entry.get("index", 0),
        count=entry.get("count", 0),
        weight_percent=entry.get("weight", 0),
        started_at=time_of(entry.get("startedAt")),
        ends_at=time_of(entry.get("endsAt")),
    )


def _waiting(entry: Object | None) -> Waiting | None:
    if not entry:
        return None
    return Waiting(entry.get("reason", ""), entry.get("message", ""), time_of(entry.get("until")))


def _gate(entry: Object) -> Gate:
    candidate, stable = entry.get("candidate") or {}, entry.get("stable") or {}
    return Gate(
        name=entry.get("gate", ""),
        verdict=entry.get("verdict", ""),
        message=entry.get("message", ""),
        candidate_count=candidate.get("count", 0),
        candidate_bad=candidate.get("bad", 0),
        stable_count=stable.get("count", 0),
        stable_bad=stable.get("bad", 0),
        have=entry.get("have", 0),
        need=entry.get("need"),
        value=entry.get("value"),
        limit=entry.get("limit"),
    )


def _past(entry: Object) -> Past:
    return Past(
        revision=entry.get("revision", ""),
        previous=entry.get("previous"),
        outcome=entry.get("outcome", ""),
        reason=entry.get("reason", ""),
        message=entry.get("message", ""),
        started_at=time_of(entry.get("startedAt")),
        ended_at=time_of(entry.get("endedAt")),
        is_unproven=bool(entry.get("unproven")),
        generation=entry.get("generation"),
    )


def _condition(entry: Object) -> Condition:
    is_true = entry.get("status") == "True"
    return Condition(
        entry.get("type", ""), is_true, entry.get("reason", ""), entry.get("message", "")
    )


def _answer(entry: Object) -> Answer:
    is_accepted = entry.get("result") == contract.ACCEPTED
    return Answer(entry.get("value", ""), is_accepted, entry.get("message", ""))


def _model(data: Object) -> Model | None:
    """Find the model of a revision in the environment that its pods are given."""
    template = data.get("template") or {}
    for container in (template.get("spec") or {}).get("containers") or ():
        values = {
            entry["name"].removeprefix(contract.ENV_MODEL): entry.get("value", "")
            for entry in container.get("env") or ()
            if entry["name"].startswith(contract.ENV_MODEL)
        }
        if "VERSION" in values:
            get = values.get
            return Model(get("NAME", ""), values["VERSION"], get("URI", ""), get("DIGEST", ""))
    return None


def time_of(text: str | None) -> datetime | None:
    """Read a time as Kubernetes writes it."""
    return datetime.fromisoformat(text) if text else None
