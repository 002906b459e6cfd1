"""Comparison: whether a run with a fault came to what the undisturbed run came to. Pure.

What is left out of an equal end, and why, stands in docs/proofs.md.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.writes import ways
from tests.writes.ways import Shares
from tests.writes.writes import Write

Object = dict[str, Any]


@dataclass
class Outcome:
    """What a run came to.

    `objects` are stripped of what varies, `counts` are of objects made and deleted, `histories`
    what clients got by router, one after the other. `violations` are of what holds at every moment.
    `is_hit`: the write that was to go wrong came.
    """

    trace: list[Write] = field(default_factory=list)
    objects: dict[str, Object] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    histories: list[list[Shares]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    is_hit: bool = False
    trouble: str = ""
    seconds: float = 0.0


def differences(expected: Outcome, got: Outcome, *, may_step_back: bool) -> list[str]:
    """Tell in what a run differs from the undisturbed one; nothing if it converged.

    `may_step_back`: the operator was lost, and its successor may earn a weight once more.
    """
    if got.trouble:
        return [got.trouble]
    found = list(got.violations)
    for key in sorted(expected.objects.keys() | got.objects.keys()):
        one, other = expected.objects.get(key), got.objects.get(key)
        if one != other:
            found.append(f"{key}: {first_difference(one, other)}")
    for key in sorted(expected.counts.keys() | got.counts.keys()):
        if expected.counts[key] != got.counts[key]:
            found.append(f"{key}: {got.counts[key]} times, not {expected.counts[key]}")
    for number, pair in enumerate(zip(expected.histories, got.histories, strict=True)):
        if pair[0] != pair[1] and not (may_step_back and is_step_back(*pair)):
            found.append(f"router-{number} gave {ways.told(pair[1])}, not {ways.told(pair[0])}")
    return found


def is_step_back(expected: list[Shares], got: list[Shares]) -> bool:
    """Tell whether a history is the expected one with one way back and up again in it.

    All that was given on the way was given before, and no revision got more than it had had.
    """
    extra = len(got) - len(expected)
    if extra <= 0 or got[-1] != expected[-1]:
        return False
    return any(
        got[:begin] + got[begin + extra :] == expected
        and all(shares in got[:begin] for shares in got[begin : begin + extra])
        for begin in range(1, 1 + len(expected))
    )


def first_difference(one: object, other: object, path: str = "") -> str:
    """Name the first place in which two values differ.

    >>> first_difference({"a": [1, 2]}, {"a": [1, 3]})
    '.a[1] is 3, not 2'
    """
    match one, other:
        case dict(), dict():
            for key in sorted(one.keys() | other.keys()):
                if one.get(key) != other.get(key):
                    return first_difference(one.get(key), other.get(key), f"{path}.{key}")
        case list(), list() if len(one) == len(other):
            for number, (left, right) in enumerate(zip(one, other, strict=True)):
                if left != right:
                    return first_difference(left, right, f"{path}[{number}]")
    return f"{path or 'it'} is {str(other)[:200]}, not {str(one)[:200]}"
