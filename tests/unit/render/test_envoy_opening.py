"""How far routes are open is read from their version, whatever else they carry."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_operator.engine.traffic import SHUT, Backend, Match, Opening, Traffic
from slipway_operator.render import envoy
from tests.unit.render.test_envoy import CANDIDATE, STABLE, TRAFFIC

BETA = Match("header", "x-beta", "on")


def _read(routers: Traffic, asked: Traffic) -> Opening | None:
    return envoy.opening_of(envoy.config_hash(routers), asked)


@given(
    st.builds(Opening, st.integers(0, 100), st.integers(0, 100), st.sampled_from([(), (BETA,)])),
    st.sampled_from([None, 1.5, 3.0]),
)
def test_law_the_opening_is_read_back(opening: Opening, per_try_timeout_s: float | None) -> None:
    routers = replace(TRAFFIC.opened(opening), per_try_timeout_s=per_try_timeout_s)

    assert opening == _read(routers, replace(TRAFFIC, match=(BETA,)))


@pytest.mark.parametrize(
    "routers",
    [
        replace(TRAFFIC, weight_percent=0, salt=""),
        replace(TRAFFIC, weight_percent=0, candidate=None, salt=""),
        replace(TRAFFIC, salt="rollout-6"),
        replace(TRAFFIC, candidate=Backend("r9", (), None, 8080, 9000)),
    ],
    ids=["closed", "alone", "another-rollout", "another-candidate"],
)
def test_other_routes_give_the_candidate_nothing(routers: Traffic) -> None:
    assert _read(routers, TRAFFIC) == SHUT


def test_routes_whose_stable_is_the_candidate_are_not_lower() -> None:
    promoted = replace(TRAFFIC, stable=CANDIDATE, candidate=None, weight_percent=0)

    assert _read(promoted, TRAFFIC) is None


def test_a_match_that_is_not_asked_for_counts_as_none() -> None:
    routers = replace(TRAFFIC, match=(replace(BETA, value="off"),))

    assert _read(routers, replace(TRAFFIC, match=(BETA,))) == Opening(5)


@pytest.mark.parametrize("shown", ["", "19bcde7cd0bf7d69", "19bcde7cd0bf7d69-w5", "unknown"])
def test_versions_of_another_form_tell_nothing(shown: str) -> None:
    assert envoy.opening_of(shown, TRAFFIC) is None


def test_the_version_says_the_weight_in_clear() -> None:
    assert "-w5-r" in envoy.config_hash(replace(TRAFFIC, stable=STABLE))
