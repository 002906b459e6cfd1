"""What the account says, from literal statuses."""

from datetime import UTC, datetime

import pytest

from bench import account, ledger
from slipway_api.status import ModelDeploymentStatus

MOMENT = datetime(2026, 1, 1, tzinfo=UTC).isoformat()


def status(**fields):
    return ModelDeploymentStatus.model_validate(fields)


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        pytest.param(status(), "not yet seen", id="new"),
        pytest.param(
            status(phase="Serving", stable="tumour-a"), "Serving · tumour-a", id="serving"
        ),
        pytest.param(
            status(
                phase="RollingOut",
                stable="tumour-a",
                candidate="tumour-b",
                step={"index": 1, "count": 2, "weight": 10},
                weight={"asked": 10, "verified": 10},
                waiting={"reason": "InsufficientData", "message": "have 600, needs about 430"},
            ),
            "RollingOut · tumour-a → tumour-b · step 1 of 2 · weight 10 % (10 % verified)"
            " · InsufficientData: have 600, needs about 430",
            id="waiting",
        ),
        pytest.param(
            status(
                phase="RolledBack",
                stable="tumour-a",
                conditions=[
                    {
                        "type": "Stalled",
                        "status": "True",
                        "reason": "RolledBack",
                        "message": "tumour-b was taken back",
                        "lastTransitionTime": MOMENT,
                    }
                ],
                verdicts=[{"gate": "failures", "verdict": "fail", "message": "9 of 9 failed"}],
            ),
            "RolledBack · tumour-a · RolledBack: tumour-b was taken back"
            " · failures FAILED: 9 of 9 failed",
            id="rolled back",
        ),
    ],
)
def test_standing_says_where_and_why(seen, text):
    assert account.standing(seen) == text


def test_the_same_standing_is_said_once():
    said = []
    subject = account.Account(said.append, began_s=100.0, has_colour=False)

    for at in (101.0, 102.0):
        subject.status(at, status(phase="Serving", stable="tumour-a"))
    subject.status(165.5, status(phase="RolledBack", stable="tumour-a"))

    assert said == ["00:01.0  Serving · tumour-a", "01:05.5  RolledBack · tumour-a"]


def test_traffic_counts_what_clients_saw_since_the_last_time():
    said = []
    subject = account.Account(said.append, began_s=0.0, has_colour=False)
    good = ledger.Request(
        id="i",
        protocol="rest",
        sent=1.0,
        received=1.1,
        status=200,
        revision="r",
        attempts=2,
        config="c",
        version="1.1.0",
        wrong=False,
        sample=0,
    )

    subject.request(good)
    subject.traffic(5.0)
    subject.traffic(10.0)

    assert said == [
        (
            "00:05.0  clients: 1 requests, 0 lost, 0 errors, 0 wrong, 1 retried by the router;"
            " answers by 1.1.0 100 %"
        )
    ]
