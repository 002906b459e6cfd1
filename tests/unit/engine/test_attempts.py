"""What one answer says about a revision is the same on REST and gRPC."""

import pytest

from slipway_operator.engine.attempts import Attempt, AttemptClass, classify


def attempt(http_status: int, grpc_status: int | None = None, *, retry: bool = False) -> Attempt:
    return Attempt(
        namespace="ml",
        deployment="churn",
        revision="r1",
        key="1",
        router="a",
        host="b",
        is_grpc=grpc_status is not None,
        began_at_s=0.0,
        duration_s=0.1,
        http_status=http_status,
        grpc_status=grpc_status,
        has_retry_after=retry,
        is_cut_by_client=False,
    )


@pytest.mark.parametrize(
    ("rest", "grpc", "expected"),
    [
        (200, 0, AttemptClass.OK),
        (400, 3, AttemptClass.REFUSED),
        (401, 16, AttemptClass.REFUSED),
        (403, 7, AttemptClass.REFUSED),
        (404, 5, AttemptClass.REFUSED),
        (415, 12, AttemptClass.REFUSED),
        (429, 8, AttemptClass.SHED),
        (500, 13, AttemptClass.FAIL),
        (503, 14, AttemptClass.FAIL),
    ],
)
def test_both_protocols_say_the_same(rest, grpc, expected):
    assert expected is classify(attempt(rest))
    assert expected is classify(attempt(200, grpc))


def test_a_503_that_asks_to_come_again_is_no_failure():
    assert AttemptClass.SHED is classify(attempt(503, retry=True))


def test_no_answer_is_a_failure():
    assert AttemptClass.FAIL is classify(attempt(0))
