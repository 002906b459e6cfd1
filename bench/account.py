"""The live account of a run: what happens, when, and why it waits, in lines for people.

Pure text from values: `Account` only remembers what it said last, so that nothing is said twice.
It knows the contract's status and the ledger's lines, and no cluster.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bench import ledger, report
from slipway_api.conditions import ConditionType, Phase, VerdictState
from slipway_api.status import Condition, ModelDeploymentStatus

RESET: Final = "\x1b[0m"
_STYLES: Final = {
    "change": "\x1b[1m",
    "good": "\x1b[32m",
    "bad": "\x1b[31m",
    "event": "\x1b[36m",
    "load": "\x1b[2m",
}
_PHASE_STYLES: Final[dict[str, str]] = {
    Phase.SERVING: "good",
    Phase.ROLLED_BACK: "bad",
    Phase.FAILED: "bad",
}


@dataclass(frozen=True, slots=True)
class KubeEvent:
    """A Kubernetes Event about the deployment; `at` in Unix seconds."""

    at: float
    is_warning: bool
    reason: str
    message: str


class Account:
    """Says each thing once, with the time since the beginning in front."""

    def __init__(self, say: Callable[[str], None], *, began_s: float, has_colour: bool) -> None:
        self._say = say
        self._began_s = began_s
        self._has_colour = has_colour
        self._said = ""
        self._traffic = Traffic()

    def line(self, at: float, text: str, *, style: str | None = None) -> None:
        """Say one line; `at` is Unix time."""
        minutes, seconds = divmod(max(0.0, at - self._began_s), 60)
        stamp = f"{int(minutes):02d}:{seconds:04.1f}"
        start = _STYLES.get(style or "", "") if self._has_colour else ""
        self._say(f"{stamp}  {start}{text}{RESET if start else ''}")

    def status(self, at: float, status: ModelDeploymentStatus) -> None:
        """Say where the rollout stands, if that changed."""
        text = standing(status)
        if text == self._said:
            return
        self._said = text
        self.line(at, text, style=_PHASE_STYLES.get(status.phase or ""))

    def event(self, event: KubeEvent) -> None:
        """Say a Kubernetes Event."""
        kind = "Warning" if event.is_warning else "Normal"
        text = f"event {kind} {event.reason}: {event.message}"
        self.line(event.at, text, style="bad" if event.is_warning else "event")

    def request(self, request: ledger.Request) -> None:
        """Count a client request for the next `traffic`."""
        self._traffic.add(request)

    def traffic(self, at: float) -> None:
        """Say what clients saw since the last time, and start counting anew."""
        if self._traffic.sent:
            self.line(at, str(self._traffic), style="load" if self._traffic.is_clean else "bad")
        self._traffic = Traffic()


class Traffic:
    """Counts of what clients saw in one stretch of time."""

    def __init__(self) -> None:
        self.sent = 0
        self._lost = 0
        self._errors = 0
        self._wrong = 0
        self._retried = 0
        self._versions: Counter[str] = Counter()

    def add(self, request: ledger.Request) -> None:
        self.sent += 1
        if request.received is None:
            self._lost += 1
        elif not report.is_good(request.status):
            self._errors += 1
        self._wrong += request.wrong
        self._retried += (request.attempts or 1) > 1
        if request.version is not None:
            self._versions[request.version] += 1

    @property
    def is_clean(self) -> bool:
        return not (self._lost or self._errors or self._wrong)

    def __str__(self) -> str:
        answered = sum(self._versions.values()) or 1
        shares = ", ".join(
            f"{version} {100 * count / answered:.0f} %"
            for version, count in sorted(self._versions.items())
        )
        return (
            f"clients: {self.sent} requests, {self._lost} lost, {self._errors} errors,"
            f" {self._wrong} wrong, {self._retried} retried by the router; answers by {shares}"
        )


def standing(status: ModelDeploymentStatus) -> str:
    """Say in one line where a deployment stands and what it waits for."""
    parts = [status.phase or "not yet seen"]
    if status.candidate is not None:
        parts.append(f"{status.stable or 'nothing'} → {status.candidate}")
    elif status.stable is not None:
        parts.append(status.stable)
    if status.step is not None:
        parts.append(f"step {status.step.index} of {status.step.count}")
    if status.candidate is not None:
        parts.append(f"weight {status.weight.asked} % ({status.weight.verified} % verified)")
    if status.waiting is not None:
        until = f" until {_clock(status.waiting.until)}" if status.waiting.until else ""
        parts.append(f"{status.waiting.reason}: {status.waiting.message}{until}")
    elif (why := _why(status)) is not None:
        parts.append(f"{why.reason}: {why.message}")
    failed = [each for each in status.verdicts if each.verdict == VerdictState.FAIL]
    parts.extend(f"{verdict.gate} FAILED: {verdict.message}" for verdict in failed)
    return " · ".join(parts)


def _clock(moment: datetime) -> str:
    return moment.astimezone().strftime("%H:%M:%S")


def _why(status: ModelDeploymentStatus) -> Condition | None:
    """Find the condition that explains the phase: a failure first, then progress."""
    for kind in (ConditionType.STALLED, ConditionType.RECONCILING):
        for condition in status.conditions:
            if condition.type == kind and condition.status == "True":
                return condition
    return None
