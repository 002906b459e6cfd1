"""Commands as the plugin writes them are those that the operator reads."""

from typing import Any

import pytest

from slipway_operator.engine import commands
from slipway_plugin import command, command_line, contract
from slipway_plugin.exits import PluginError

REVISION = "churn-0a1b2c3d4e"


def review(username: str) -> dict[str, Any]:
    return {"kind": "SelfSubjectReview", "status": {"userInfo": {"username": username}}}


@pytest.mark.parametrize("verb", contract.COMMANDS)
@pytest.mark.parametrize("why", ["", "scores look right: 0.93 > 0.9", "x" * 160])
@pytest.mark.parametrize(
    ("username", "who"),
    [
        ("", ""),
        ("ada@example.org", "ada@example.org"),
        ("system:serviceaccount:ml:ci", "system/serviceaccount/ml/ci"),
        ("Ada\n Lovelace ", "Ada Lovelace"),
        (":root", "/root"),
        ("https://issuer.example.org#" + "7" * 80, ("https///issuer.example.org#" + "7" * 80)[:64]),
    ],
)
def test_the_operator_reads_who_and_why(verb: str, why: str, username: str, who: str) -> None:
    named = command.who_of(review(username))
    written = command.value(verb, REVISION, nonce="7f", who=named, why=command.why_of(why))

    assert commands.parse(written) == commands.Command(
        commands.Verb(verb), REVISION, "7f", by=who, why=why
    )
    assert len(written) <= commands.VALUE_LENGTH_MAX


@pytest.mark.parametrize("answer", [{}, {"status": None}, {"status": {"userInfo": {}}}])
def test_a_cluster_that_does_not_tell_who_leaves_it_out(answer: Any) -> None:
    assert command.who_of(answer) == ""


@pytest.mark.parametrize("why", ["x" * 161, "two\nlines"])
def test_why_is_one_line_of_bounded_length(why: str) -> None:
    with pytest.raises(PluginError, match="write one line of at most 160"):
        command.why_of(why)


@pytest.mark.parametrize("verb", contract.COMMANDS)
def test_every_command_takes_why(verb: str) -> None:
    assert command_line.parse([verb, "churn", "--why", "odd scores"]).why == "odd scores"
