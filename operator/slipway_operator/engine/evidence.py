"""The guard's memory as text, so that a restart of the operator never resets a test.

Stands in the status of a ModelDeployment: compact JSON below 4 KiB, six digits per number. Text
that cannot be read is no evidence: the guard starts anew, which costs at most the error
probability of one more rollout.
"""

import json
from dataclasses import dataclass
from typing import Final

from slipway_api.conditions import Reason, VerdictState
from slipway_operator.engine.verdicts import Verdict

VERSION: Final = 3
SIZE_MAX: Final = 4096

GateState = list[list[float]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What outlives a restart; the gates' states and what is `spent` are their own dumps."""

    rollout: str
    weight_percent: int | None
    beside: str  # as `Opening.beside`
    gates: dict[str, GateState]
    stable_latency_s_p999: float | None
    conviction: Verdict | None
    spent: list[int]


def encode(evidence: Evidence) -> str:
    """Write evidence as text, with fewer digits where six would be too long."""
    text = ""
    for digits in (6, 4, 3):
        text = _write(evidence, digits)
        if len(text.encode()) <= SIZE_MAX:
            break
    return text


def _write(evidence: Evidence, digits: int) -> str:
    conviction = evidence.conviction
    p999_s = evidence.stable_latency_s_p999
    document = {
        "v": VERSION,
        "rollout": evidence.rollout,
        "weight": evidence.weight_percent,
        **({"beside": evidence.beside} if evidence.beside else {}),
        "gates": {
            name: [[_short(value, digits) for value in row] for row in state]
            for name, state in evidence.gates.items()
        },
        "p999": None if p999_s is None else _short(p999_s, digits),
        "fail": None if conviction is None else _fields(conviction),
        "spent": evidence.spent,
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def _fields(conviction: Verdict) -> list[str | int]:
    return [
        conviction.gate,
        conviction.reason,
        conviction.message,
        conviction.candidate_count,
        conviction.candidate_bad_count,
        conviction.stable_count,
        conviction.stable_bad_count,
        conviction.have,
    ]


def _short(value: float, digits: int) -> float:
    """Round, but never a count: whole numbers keep all their digits."""
    if float(value).is_integer():
        return int(value)
    number = float(f"{value:.{digits}g}")
    return int(number) if number.is_integer() else number


def decode(text: str | None, *, rollout: str) -> Evidence | None:
    """Read evidence; None if there is none, of this rollout, that can be read."""
    if not text:
        return None
    try:
        document = json.loads(text)
        if document["v"] != VERSION or document["rollout"] != rollout:
            return None
        weight_percent, p999_s = document["weight"], document["p999"]
        return Evidence(
            rollout=rollout,
            weight_percent=None if weight_percent is None else int(weight_percent),
            beside=str(document.get("beside", "")),
            gates={str(name): _rows(state) for name, state in document["gates"].items()},
            stable_latency_s_p999=None if p999_s is None else float(p999_s),
            conviction=_conviction(document["fail"]),
            spent=_whole(document["spent"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _whole(spent: list[int]) -> list[int]:
    attempts, failed, refused = map(int, spent)
    return [attempts, failed, refused]


def _rows(state: list[list[float]]) -> GateState:
    return [[float(value) for value in row] for row in state]


def _conviction(fields: list[object] | None) -> Verdict | None:
    if fields is None:
        return None
    gate, reason, message, *counts = fields
    n1, x1, n0, x0, have = (int(str(count)) for count in counts)
    return Verdict(
        gate=str(gate),
        state=VerdictState.FAIL,
        reason=Reason(str(reason)),
        message=str(message),
        candidate_count=n1,
        candidate_bad_count=x1,
        stable_count=n0,
        stable_bad_count=x0,
        have=have,
        need=0,
    )
