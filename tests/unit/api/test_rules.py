"""The rules of the contract as the operator evaluates them."""

from typing import Any

import pytest
from pydantic import ValidationError

from slipway_api.base import ContractModel
from slipway_api.compute_pool import ComputePool
from slipway_api.crd import KINDS, definition
from slipway_api.model_deployment import ModelDeployment
from slipway_api.rules import describe
from tests.samples.contract_objects import (
    POOL,
    REFUSED,
    REFUSED_POOLS,
    TAKEN,
    Object,
    Refused,
    RefusedPool,
)


@pytest.mark.parametrize("sample", TAKEN)
def test_sensible_deployments_are_taken(sample: Object) -> None:
    ModelDeployment.model_validate(sample)


@pytest.mark.parametrize("sample", REFUSED, ids=str)
def test_senseless_deployments_are_refused_with_advice(sample: Refused) -> None:
    with pytest.raises(ValidationError) as refusal:
        ModelDeployment.model_validate(sample.object)

    assert sample.words in describe(refusal.value, at="ModelDeployment")


def test_pools_follow_the_same_rules() -> None:
    ComputePool.model_validate(POOL)


@pytest.mark.parametrize("sample", REFUSED_POOLS, ids=str)
def test_senseless_pools_are_refused_with_advice(sample: RefusedPool) -> None:
    with pytest.raises(ValidationError) as refusal:
        ComputePool.model_validate(sample.object)

    assert sample.words in describe(refusal.value, at="ComputePool")


def test_every_rule_has_a_sample_that_breaks_it() -> None:
    words = [sample.words for sample in (*REFUSED, *REFUSED_POOLS)]

    untested = [
        message
        for kind in KINDS
        for message in messages(definition(kind))
        if not any(word in message for word in words)
    ]

    assert untested == []


def messages(node: Any) -> list[str]:
    """Collect the messages of all CEL rules below a node."""
    if isinstance(node, list):
        return [message for item in node for message in messages(item)]
    if not isinstance(node, dict):
        return []
    own = [rule["message"] for rule in node.get("x-kubernetes-validations", ())]
    return own + [message for item in node.values() for message in messages(item)]


def test_a_complaint_says_where_and_what_to_write_instead() -> None:
    class Inner(ContractModel):
        size_max: int

    class Outer(ContractModel):
        inner: tuple[Inner, ...]

    with pytest.raises(ValidationError) as refusal:
        Outer.model_validate({"inner": [{"sizeMax": 1}, {}]})

    assert describe(refusal.value, at="spec") == "spec.inner[1].sizeMax: Field required"


def test_models_tolerate_fields_of_a_newer_version() -> None:
    newer = {**TAKEN[0], "spec": {**TAKEN[0]["spec"], "fromTheFuture": {"a": 1}}}

    assert ModelDeployment.model_validate(newer).spec.compute.pool == "cpu"
