"""The worked examples in the guard's docstrings are true."""

import doctest
from types import ModuleType

import pytest

from slipway_operator.engine import (
    clumping,
    comparison,
    judgement,
    latency,
    questions,
    wording,
)


@pytest.mark.parametrize(
    "module",
    [clumping, comparison, judgement, latency, questions, wording],
    ids=lambda module: module.__name__,
)
def test_worked_examples_are_true(module: ModuleType) -> None:
    outcome = doctest.testmod(module)

    assert outcome.attempted > 0
    assert outcome.failed == 0
