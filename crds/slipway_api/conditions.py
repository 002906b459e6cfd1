"""The whole vocabulary of status: condition types, phases, reasons, outcomes.

Four conditions so that `kubectl wait`, Helm, Flux and Argo CD agree (kstatus: Reconciling=True
means in progress, Stalled=True means failed). A reason is machine-readable and stable; the message
beside it is for people.
"""

from enum import StrEnum


class ConditionType(StrEnum):
    """What `kubectl wait` can wait for."""

    AVAILABLE = "Available"  # somebody answers requests
    READY = "Ready"  # what was asked for serves, nothing is to be done
    RECONCILING = "Reconciling"  # under way
    STALLED = "Stalled"  # will not go on by itself


class Phase(StrEnum):
    """One word for `kubectl get`; conditions carry the detail."""

    PENDING = "Pending"  # seen, nothing serves yet
    SERVING = "Serving"  # what was asked for serves
    ROLLING_OUT = "RollingOut"  # a candidate is on its way
    PAUSED = "Paused"  # a person must say go on
    ABORTING = "Aborting"  # weight 0 asked, not yet cleaned up
    ROLLED_BACK = "RolledBack"  # stable serves, the asked revision was rejected
    STALLED = "Stalled"  # stable serves, what was asked for cannot even begin
    FAILED = "Failed"  # nothing serves and nothing will by itself


class Reason(StrEnum):
    """Why, in one word: of conditions, waits, aborts and Events."""

    # progress
    SERVING = "Serving"
    WAITING_FOR_PODS = "WaitingForPods"
    WAITING_FOR_ROUTERS = "WaitingForRouters"
    HOLDING = "Holding"  # a step's hold time runs
    PROBATION = "Probation"  # the candidate has everything, stable waits with all its pods
    INSUFFICIENT_DATA = "InsufficientData"
    MEASUREMENT_UNAVAILABLE = "MeasurementUnavailable"
    ALERT_FIRING = "AlertFiring"  # before the candidate had weight: holds; afterwards: aborts
    SHEDDING = "Shedding"  # the candidate sheds load: more weight would not help
    PODS_DISTURBED = "PodsDisturbed"  # eviction, drain, lost node: held while pods are replaced
    ABORTING = "Aborting"
    ROLLING_OUT = "RollingOut"
    PAUSED = "Paused"
    FIRST_REVISION = "FirstRevision"
    DETACHED = "Detached"  # Slipway is being taken away, nothing goes on
    # outcomes and causes of an abort
    ERRORS = "Errors"  # the candidate fails more than stable
    REFUSALS = "Refusals"  # the candidate refuses what stable accepts
    LATENCY = "Latency"
    LIMIT_EXCEEDED = "LimitExceeded"  # an absolute limit of analysis.metrics
    BUDGET_SPENT = "BudgetSpent"  # as many bad answers as analysis.maxBadAnswers allows
    CONTAINER_FAILED = "ContainerFailed"  # a candidate container ended by itself
    READINESS_LOST = "ReadinessLost"
    START_DEADLINE = "StartDeadlineExceeded"
    ABORTED_BY_USER = "AbortedByUser"
    SUPERSEDED = "Superseded"
    SHADOWED = "Shadowed"  # a shadow that was to end there has passed its gates
    ROLLED_BACK = "RolledBack"
    NO_WAY_BACK = "NoWayBack"  # stable cannot serve, the candidate keeps its share
    # what the user must correct
    INVALID_SPECIFICATION = "InvalidSpecification"  # breaks a newer rule, or none of CEL
    UNKNOWN_POOL = "UnknownPool"
    NO_ROOM = "NoRoom"  # no node of the pool could ever take a pod
    NAME_CONFLICT = "NameConflict"
    NO_PORT = "NoPort"
    IMAGE_UNAVAILABLE = "ImageUnavailable"
    MODEL_REJECTED = "ModelRejected"  # the server would not load it; its own words follow
    # commands
    COMMAND_REFUSED = "CommandRefused"


class Outcome(StrEnum):
    """How a rollout ended."""

    PROMOTED = "Promoted"
    ABORTED = "Aborted"
    SUPERSEDED = "Superseded"
    SHADOWED = "Shadowed"  # seen with copies of live requests, as asked, and taken away


class VerdictState(StrEnum):
    """What a gate says."""

    PASS = "pass"
    FAIL = "fail"
    INSUFFICIENT = "insufficient"
    UNAVAILABLE = "unavailable"
