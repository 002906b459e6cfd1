"""The worked examples in the plugin's docstrings are true."""

import doctest
from types import ModuleType

import pytest

from slipway_plugin import command, going_back, wording


@pytest.mark.parametrize(
    "module", [command, going_back, wording], ids=lambda module: module.__name__
)
def test_worked_examples_are_true(module: ModuleType) -> None:
    outcome = doctest.testmod(module)

    assert outcome.attempted > 0
    assert outcome.failed == 0
