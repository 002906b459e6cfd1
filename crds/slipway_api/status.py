"""Status of a ModelDeployment: what the operator tells and what it must remember.

Everything the controller needs after a restart is here, and nothing else is remembered. The bounds
keep the worst case below 32 KiB. Words (phase, reason, outcome, verdict) are plain strings on
purpose: an older operator must be able to read what a newer one wrote; `conditions` has the
vocabulary.
"""

from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field

from slipway_api.analysis import METRIC_COUNT_MAX
from slipway_api.base import ContractModel

MESSAGE_LENGTH_MAX: Final = 512
NOTE_LENGTH_MAX: Final = 256
EVIDENCE_LENGTH_MAX: Final = 4096
# With six metrics: errors, refusals, a limit of errors, two for each of four latencies, a query;
# and three alerts.
VERDICT_COUNT_MAX: Final = 16
HISTORY_COUNT_MAX: Final = 8
REJECTED_COUNT_MAX: Final = 10
DRAIN_COUNT_MAX: Final = 4
CONDITION_COUNT_MAX: Final = 4

Timestamp = Annotated[AwareDatetime, Field(json_schema_extra={"maxLength": 32})]
RevisionName = Annotated[str, Field(max_length=63)]
Word = Annotated[str, Field(max_length=40)]
Message = Annotated[str, Field(max_length=MESSAGE_LENGTH_MAX)]
Note = Annotated[str, Field(max_length=NOTE_LENGTH_MAX)]
SettingName = Annotated[str, Field(max_length=10)]
Count = Annotated[int, Field(ge=0, le=10**15, json_schema_extra={"format": "int64"})]
SmallCount = Annotated[int, Field(ge=0, le=100_000, json_schema_extra={"format": "int32"})]
Percentage = Annotated[int, Field(ge=0, le=100, json_schema_extra={"format": "int32"})]


def clip(text: str, size_bytes_max: int) -> str:
    """Shorten to at most `size_bytes_max` bytes of UTF-8, with an ellipsis where text was lost.

    >>> clip("short", 16), clip("rather long", 8)
    ('short', 'rathe…')
    """
    data = text.encode()
    if len(data) <= size_bytes_max:
        return text
    return data[: size_bytes_max - 3].decode(errors="ignore") + "…"


class Condition(ContractModel):
    """Standard Kubernetes condition."""

    type: Annotated[Word, Field(description="Available, Ready, Reconciling or Stalled.")]
    status: Annotated[
        Literal["True", "False", "Unknown"], Field(description="True, False or Unknown.")
    ]
    reason: Annotated[Word, Field(description="Why, in one word for programs.")]
    message: Annotated[Message, Field(description="Why, in a sentence for people.")] = ""
    last_transition_time: Annotated[
        Timestamp, Field(description="When the condition's status last changed.")
    ]
    observed_generation: Annotated[
        Count | None, Field(description="Generation of the spec that the condition is about.")
    ] = None


class Weight(ContractModel):
    """The candidate's share of live traffic, in percent."""

    asked: Annotated[Percentage, Field(description="What the routers were asked for.")] = 0
    verified: Annotated[
        Percentage, Field(description="What every ready router was seen to do.")
    ] = 0
    mirror: Annotated[
        Percentage,
        Field(description="Percent of stable's live requests that the candidate gets a copy of."),
    ] = 0


class Step(ContractModel):
    """Where the rollout is in its plan."""

    index: Annotated[SmallCount, Field(description="This step's number, from 1.")]
    count: Annotated[SmallCount, Field(description="How many steps the plan has.")]
    weight: Annotated[Percentage, Field(description="The weight this step wants, in percent.")]
    started_at: Annotated[
        Timestamp | None, Field(description="When every router showed the weight.")
    ] = None
    ends_at: Annotated[
        Timestamp | None, Field(description="When the step's hold time is over.")
    ] = None


class Waiting(ContractModel):
    """What has to happen before anything goes on."""

    reason: Annotated[Word, Field(description="What is waited for, in one word.")]
    message: Annotated[Note, Field(description="What is waited for, in a sentence.")] = ""
    until: Annotated[
        Timestamp | None, Field(description="When the wait ends by itself, if it does.")
    ] = None


class Address(ContractModel):
    """Where clients inside the cluster find the model."""

    url: Annotated[str, Field(max_length=128, description="Base URL for REST.")]
    grpc: Annotated[str, Field(max_length=128, description="Authority for gRPC.")]
    router_port: Annotated[
        SmallCount,
        Field(description="Port on every router pod, for kubectl port-forward to a router."),
    ]


class Replicas(ContractModel):
    """Pods that exist and pods that are ready, per side."""

    stable: Annotated[SmallCount, Field(description="Pods of the stable revision.")] = 0
    stable_ready: Annotated[SmallCount, Field(description="Ready pods of stable.")] = 0
    candidate: Annotated[SmallCount, Field(description="Pods of the candidate.")] = 0
    candidate_ready: Annotated[SmallCount, Field(description="Ready pods of the candidate.")] = 0


class Sample(ContractModel):
    """Attempts measured on one side."""

    count: Annotated[Count, Field(description="Attempts seen.")] = 0
    bad: Annotated[Count, Field(description="Attempts that count against the revision.")] = 0


class VerdictStatus(ContractModel):
    """What one gate says, with the numbers behind it."""

    gate: Annotated[str, Field(max_length=72, description="The gate's name.")]
    verdict: Annotated[
        str,
        Field(
            max_length=20, description="pass, fail, insufficient (too few samples) or unavailable."
        ),
    ]
    message: Annotated[Note, Field(description="The verdict in a sentence, with numbers.")] = ""
    candidate: Annotated[Sample, Field(description="Measured on the candidate.")] = Sample()
    stable: Annotated[Sample, Field(description="Measured on stable at the same time.")] = Sample()
    have: Annotated[Count, Field(description="Candidate attempts so far.")] = 0
    need: Annotated[
        Count | None,
        Field(description="About how many more a verdict takes; absent if it cannot be foreseen."),
    ] = None
    value: Annotated[
        float | None, Field(ge=-1e300, le=1e300, description="The number that a query gave last.")
    ] = None
    limit: Annotated[
        str | None, Field(max_length=40, description="What the number of a query is held against.")
    ] = None


class Abort(ContractModel):
    """Why and when the candidate was taken back."""

    reason: Annotated[Word, Field(description="The cause, in one word.")]
    message: Annotated[Note, Field(description="The cause, in a sentence.")] = ""
    at: Annotated[Timestamp, Field(description="When it was decided.")]


class QueryState(ContractModel):
    """Memory of a gate that asks Prometheus, in this step."""

    gate: Annotated[str, Field(max_length=63, description="The gate's name.")]
    measured_at: Annotated[
        Timestamp | None, Field(description="When the query gave a number last.")
    ] = None
    count: Annotated[SmallCount, Field(description="How many numbers it gave.")] = 0
    bad_in_row: Annotated[
        SmallCount, Field(description="How many of the last ones were beyond the limit.")
    ] = 0


class RolloutState(ContractModel):
    """Memory of the running rollout: a restarted operator goes on from here."""

    id: Annotated[
        str, Field(max_length=63, description="Names this rollout; salts sticky shares of traffic.")
    ]
    generation: Annotated[
        Count | None, Field(description="Generation of the spec that the rollout began with.")
    ] = None
    started_at: Annotated[Timestamp, Field(description="When the rollout began.")]
    paused: Annotated[bool, Field(description="A person must say go on.")] = False
    pause_step: Annotated[
        SmallCount | None,
        Field(description="Index (from 0) of the step whose own pause was already answered."),
    ] = None
    step_index: Annotated[SmallCount, Field(description="Index of the step, from 0.")] = 0
    way: Annotated[
        SettingName,
        Field(description="What the plan asked of routers up to this step: tells a changed plan."),
    ] = ""
    opened: Annotated[
        SettingName,
        Field(description="The setting whose mirror and match routers were asked for."),
    ] = ""
    passed_weight: Annotated[
        Percentage,
        Field(description="Weight of the last step that was left; a changed plan goes on above."),
    ] = 0
    step_started_at: Annotated[
        Timestamp | None, Field(description="When every router showed the step's weight.")
    ] = None
    stopped_since: Annotated[
        Timestamp | None,
        Field(description="Since when the step's clock stands, because a source is away."),
    ] = None
    stopped_seconds: Annotated[
        float,
        Field(ge=0, le=1e9, description="How long the step's clock stood before, in all."),
    ] = 0.0
    weighted_at: Annotated[
        Timestamp | None,
        Field(description="When the candidate was first to get weight; alerts count from then."),
    ] = None
    unready_since: Annotated[
        Timestamp | None,
        Field(description="Since when fewer candidate pods are ready than the weight needs."),
    ] = None
    unsteady_since: Annotated[
        Timestamp | None,
        Field(description="Since when pods of the candidate come and go before its first step."),
    ] = None
    abort: Annotated[Abort | None, Field(description="Set once it is taken back.")] = None
    lowered_at: Annotated[
        Timestamp | None,
        Field(description="Since when routers are asked for weight 0, to end the rollout."),
    ] = None
    approval: Annotated[
        Note, Field(description="Who last let it go on, and why, by their own word.")
    ] = ""
    promote_asked: Annotated[
        bool, Field(description="A person asked to skip the remaining steps.")
    ] = False
    unproven: Annotated[
        bool, Field(description="A step was left although a gate had not passed.")
    ] = False
    per_try_timeout_seconds: Annotated[
        float | None,
        Field(ge=0, le=86400, description="Limit of one attempt, fixed when the rollout started."),
    ] = None
    evidence: Annotated[
        str,
        Field(max_length=EVIDENCE_LENGTH_MAX, description="The gates' running sums; opaque."),
    ] = ""
    phi: Annotated[
        float | None,
        Field(ge=0, le=1e6, description="How much failures come in clumps, measured on stable."),
    ] = None
    queries: Annotated[
        tuple[QueryState, ...],
        Field(max_length=METRIC_COUNT_MAX, description="Memory of the gates that ask Prometheus."),
    ] = ()


class Draining(ContractModel):
    """A revision that gets no new requests but may still answer some."""

    revision: Annotated[RevisionName, Field(description="The revision.")]
    since: Annotated[Timestamp, Field(description="Since when it gets no new requests.")]


class Rejected(ContractModel):
    """A revision that was taken back; it is not tried again by itself."""

    revision: Annotated[RevisionName, Field(description="The revision.")]
    reason: Annotated[Word, Field(description="Why, in one word.")]
    message: Annotated[Note, Field(description="Why, in a sentence.")] = ""
    at: Annotated[Timestamp, Field(description="When.")]


class Rollout(ContractModel):
    """A rollout that has ended."""

    revision: Annotated[RevisionName, Field(description="The revision that was rolled out.")]
    previous: Annotated[
        RevisionName | None, Field(description="The revision that served before.")
    ] = None
    outcome: Annotated[Word, Field(description="Promoted, Aborted, Superseded or Shadowed.")]
    reason: Annotated[Word, Field(description="Why it ended so, in one word.")] = ""
    message: Annotated[Note, Field(description="Why it ended so, in a sentence.")] = ""
    generation: Annotated[
        Count | None, Field(description="Generation of the spec that it began with.")
    ] = None
    started_at: Annotated[Timestamp, Field(description="When it began.")]
    ended_at: Annotated[Timestamp, Field(description="When it ended.")]
    unproven: Annotated[
        bool, Field(description="Promoted although the gates had not all passed.")
    ] = False


class Chosen(ContractModel):
    """Which of several revisions of one specification a person wants; by restart or undo."""

    identity: Annotated[
        RevisionName, Field(description="The name that the specification alone gives a revision.")
    ]
    revision: Annotated[
        RevisionName, Field(description="The revision that is wanted while it asks for that.")
    ]


class CommandResult(ContractModel):
    """Answer to the last command annotation."""

    value: Annotated[
        str, Field(max_length=400, description="The annotation as it was read, nonce included.")
    ]
    result: Annotated[Word, Field(description="Accepted or Refused.")]
    message: Annotated[Note, Field(description="What was done, or why not.")] = ""
    at: Annotated[Timestamp, Field(description="When.")]


class ModelDeploymentStatus(ContractModel):
    """Where the deployment stands and why; written by the operator only."""

    observed_generation: Annotated[
        int,
        Field(
            ge=-1,
            json_schema_extra={"format": "int64"},
            description="Generation of the spec that this status is about; -1: not yet seen.",
        ),
    ] = -1
    phase: Annotated[
        Word | None,
        Field(
            description="One word: Pending, Serving, RollingOut, Paused, Aborting, RolledBack,"
            " Stalled or Failed."
        ),
    ] = None
    stable: Annotated[
        RevisionName | None, Field(description="The revision that clients can rely on.")
    ] = None
    candidate: Annotated[
        RevisionName | None, Field(description="The revision that is being tried.")
    ] = None
    weight: Annotated[Weight, Field(description="The candidate's share of traffic.")] = Weight()
    step: Annotated[Step | None, Field(description="Where the rollout is in its plan.")] = None
    waiting: Annotated[Waiting | None, Field(description="What is waited for, until when.")] = None
    address: Annotated[Address | None, Field(description="Where clients find the model.")] = None
    replicas: Annotated[Replicas, Field(description="Pods per side.")] = Replicas()
    selector: Annotated[
        str | None,
        Field(max_length=128, description="Label selector of all pods, for autoscalers."),
    ] = None
    verdicts: Annotated[
        tuple[VerdictStatus, ...],
        Field(max_length=VERDICT_COUNT_MAX, description="What the gates say now."),
    ] = ()
    rollout: Annotated[RolloutState | None, Field(description="Memory of the running rollout.")] = (
        None
    )
    drain: Annotated[
        tuple[Draining, ...],
        Field(max_length=DRAIN_COUNT_MAX, description="Revisions on their way out."),
    ] = ()
    rejected: Annotated[
        tuple[Rejected, ...],
        Field(
            max_length=REJECTED_COUNT_MAX,
            description="Revisions that were taken back, newest first; not retried by themselves.",
        ),
    ] = ()
    history: Annotated[
        tuple[Rollout, ...],
        Field(max_length=HISTORY_COUNT_MAX, description="The last rollouts, newest first."),
    ] = ()
    chosen: Annotated[
        Chosen | None, Field(description="What a restart or an undo chose; absent: nothing.")
    ] = None
    command: Annotated[CommandResult | None, Field(description="Answer to the last command.")] = (
        None
    )
    phi: Annotated[
        float | None,
        Field(
            ge=0,
            le=1e6,
            description="How much failures of this model come in clumps, from the last rollout.",
        ),
    ] = None
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=CONDITION_COUNT_MAX,
            description="Available, Ready, Reconciling, Stalled: for kubectl wait, Helm, Flux and"
            " Argo CD.",
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
        ),
    ] = ()
