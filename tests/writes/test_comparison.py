"""What the proof of writes takes for equal, and what not."""

import pytest

from tests.writes import comparison, writes
from tests.writes.comparison import Outcome, is_step_back

ALONE, SOME, HALF, ALL = ({"r1": 100 - share, "r2": share} for share in (0, 20, 50, 100))
PROMOTED = [ALONE, SOME, HALF, ALL]


def test_a_history_of_its_own_is_a_difference() -> None:
    expected = Outcome(histories=[PROMOTED])

    found = comparison.differences(
        expected, Outcome(histories=[[ALONE, HALF, ALL]]), may_step_back=True
    )

    assert len(found) == 1
    assert "router-0 gave" in found[0]


def test_an_object_more_is_a_difference() -> None:
    found = comparison.differences(
        Outcome(), Outcome(objects={"Service a": {}}), may_step_back=False
    )

    assert found == ["Service a: it is {}, not None"]


@pytest.mark.parametrize(
    "got",
    [
        [ALONE, SOME, HALF, SOME, HALF, ALL],
        [ALONE, SOME, ALONE, SOME, HALF, ALL],
        [ALONE, SOME, HALF, ALONE, SOME, HALF, ALL],
        [ALONE, SOME, HALF, ALL, HALF, ALL],
    ],
)
def test_one_way_back_and_up_again_is_a_step_back(got: list[dict[str, int]]) -> None:
    assert is_step_back(PROMOTED, got)


@pytest.mark.parametrize(
    "got",
    [
        [ALONE, SOME, ALL],
        [ALONE, SOME, ALL, HALF, ALL],
        [ALONE, ALL, SOME, HALF, ALL],
        [ALONE, SOME, HALF, ALL, ALONE],
        [ALONE, SOME, HALF, ALL, {"r1": 10, "r2": 90}, ALL],
    ],
)
def test_a_step_that_is_left_out_or_comes_too_early_is_none(got: list[dict[str, int]]) -> None:
    assert not is_step_back(PROMOTED, got)


def test_the_same_write_of_another_namespace_and_time_has_the_same_name() -> None:
    def named(namespace: str, time: str, size: int) -> str:
        path = f"/apis/slipway.dev/v1alpha1/namespaces/{namespace}/modeldeployments/churn/status"
        body = f'{{"metadata": {{"namespace": "{namespace}"}}, "size": {size}, "at": "{time}"}}'
        write = writes.api_write("PATCH", path, body.encode(), namespace=namespace, state="new")
        return write.name

    assert named("writes-1", "now", 3) == named("writes-2", "then", 3)
    assert named("writes-1", "now", 3) != named("writes-1", "now", 4)
