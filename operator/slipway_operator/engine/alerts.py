"""Alerts: gates that another program's rules decide.

An alert speaks against a candidate only if it began after the candidate had weight. One that fires
already cannot tell whether the candidate makes things worse, so nothing goes on while it does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from slipway_api.analysis import Alert
from slipway_api.conditions import Reason, VerdictState
from slipway_operator.engine.verdicts import Verdict

GATE_PREFIX: Final = "alert:"  # a name that no measurement can have
LABEL_NAMESPACE: Final = "namespace"
LABEL_DEPLOYMENT: Final = "modeldeployment"

Owner = tuple[str, str]


@dataclass(frozen=True, slots=True)
class FiringAlert:
    """An alert that fires; `began_at` is when its condition became true."""

    name: str
    labels: Mapping[str, str]
    began_at: datetime


@dataclass(frozen=True, slots=True)
class AlertsSeen:
    """All alerts that fire, at one look; None: they could not be read, `problem` says why."""

    at: datetime
    firing: tuple[FiringAlert, ...] | None
    problem: str = ""


def gate_name(alert: Alert) -> str:
    """Name an alert's gate."""
    return GATE_PREFIX + alert.name


def is_meant(alert: Alert, owner: Owner, *, name: str, labels: Mapping[str, str]) -> bool:
    """Tell whether an alert of this name with these labels is the one that is asked about."""
    wanted = alert.labels or {LABEL_NAMESPACE: owner[0], LABEL_DEPLOYMENT: owner[1]}
    return name == alert.name and all(labels.get(key, "") == wanted[key] for key in wanted)


def verdict(
    alert: Alert, seen: AlertsSeen | None, *, owner: Owner, weighted_at: datetime | None
) -> Verdict:
    """Say what an alert says; `weighted_at` is when the candidate first got weight."""
    if seen is None:
        return _unavailable(alert, "Prometheus has not been asked for its alerts yet")
    if seen.firing is None:
        return _unavailable(alert, seen.problem)
    mine = [one for one in seen.firing if is_meant(alert, owner, name=one.name, labels=one.labels)]
    if not mine:
        return _verdict(alert, VerdictState.PASS, "does not fire")
    last = max(one.began_at for one in mine)
    since = f"fires since {last:%H:%M:%S} UTC"
    if weighted_at is not None and last > weighted_at:
        message = f"{since}, after the candidate got weight at {weighted_at:%H:%M:%S}"
        return _verdict(alert, VerdictState.FAIL, message)
    message = f"{since}, before the candidate had weight: nothing goes on until it ends"
    return _unavailable(alert, message, reason=Reason.ALERT_FIRING)


def _unavailable(
    alert: Alert, message: str, *, reason: Reason = Reason.MEASUREMENT_UNAVAILABLE
) -> Verdict:
    return _verdict(alert, VerdictState.UNAVAILABLE, message, reason=reason)


def _verdict(
    alert: Alert, state: VerdictState, message: str, *, reason: Reason = Reason.ALERT_FIRING
) -> Verdict:
    return Verdict(
        gate=gate_name(alert),
        state=state,
        reason=reason,
        message=message,
        candidate_count=0,
        candidate_bad_count=0,
        stable_count=0,
        stable_bad_count=0,
        have=0,
        need=None if state is VerdictState.UNAVAILABLE else 0,
        needs_requests=False,
    )
