"""An object that is older than a rule it breaks: its status says so, and nothing else happens."""

import asyncio
import copy
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from slipway_api.conditions import ConditionType, Phase, Reason
from slipway_api.status import ModelDeploymentStatus
from slipway_operator.adapters.ads import AdsServer
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_errors import Invalid
from slipway_operator.adapters.kube_http import Object
from slipway_operator.adapters.kube_resources import (
    CUSTOM_RESOURCE_DEFINITIONS,
    MODEL_DEPLOYMENTS,
    NAMESPACES,
)
from slipway_operator.adapters.model_probe import ModelProbe
from slipway_operator.adapters.router_probe import RouterProbe
from slipway_operator.engine import standing
from slipway_operator.engine.traffic import SHUT
from slipway_operator.shell.guards import Guards
from slipway_operator.shell.observe import Observer, Unreadable
from slipway_operator.shell.polls import Polls
from slipway_operator.shell.ports import PortBook
from slipway_operator.shell.record import StatusWriter
from slipway_operator.shell.routing import RoutingTable

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("crds")]

NAMESPACE = "older-objects"
DEFINITION = Path(__file__).parents[3] / "crds" / "modeldeployments.slipway.dev.yaml"
ALLOWED_TIMEOUT_S = 20.0


@pytest.fixture
async def broken(kube: KubeClient) -> AsyncIterator[str]:
    """Make an object that the rules of today refuse, in a moment without rules."""
    await kube.apply(NAMESPACES, {"metadata": {"name": NAMESPACE}})
    strict = yaml.safe_load(DEFINITION.read_text(encoding="utf-8"))
    await kube.apply(CUSTOM_RESOURCE_DEFINITIONS, _without_rules(strict), manager="tests")
    try:
        yield await _create(kube, "grown-old")
    finally:
        await kube.apply(CUSTOM_RESOURCE_DEFINITIONS, strict, manager="tests")


async def _create(kube: KubeClient, name: str) -> str:
    """Create it as soon as the rules are gone; the API server takes a moment."""
    steps = [{"weight": 50}, {"weight": 5}]  # they must grow
    model = {"name": "m", "version": "1", "uri": "s3://models/m"}
    body = {
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"model": model, "strategy": {"canary": {"steps": steps}}},
    }
    async with asyncio.timeout(ALLOWED_TIMEOUT_S):
        while True:
            try:
                await kube.create(MODEL_DEPLOYMENTS, body)
            except Invalid:
                await asyncio.sleep(0.1)
            else:
                return name


def _without_rules(definition: Object) -> Object:
    def stripped(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: stripped(v) for k, v in value.items() if k != "x-kubernetes-validations"}
        return [stripped(each) for each in value] if isinstance(value, list) else value

    loose: Object = stripped(copy.deepcopy(definition))
    return loose


def observer(kube: KubeClient) -> Observer:
    """Make an observer to which nothing but the API server says anything."""
    ads = AdsServer(lambda: None)
    return Observer(
        kube,
        table=RoutingTable(ads, RouterProbe(), wake=lambda _: None),
        guards=Guards(
            opening=lambda _: SHUT,
            last_heard_s=lambda: None,
            polls=Polls(None),
            wake=lambda *_: None,
        ),
        ports=PortBook(),
        models=ModelProbe(),
        is_detaching=lambda: False,
    )


async def test_the_status_names_field_and_rule(kube: KubeClient, broken: str) -> None:
    found = await observer(kube).look((NAMESPACE, broken))
    assert isinstance(found, Unreadable)
    status = standing.unreadable(
        found.status,
        found.message,
        generation=found.metadata.generation,
        now=datetime.now(UTC),
    )
    await StatusWriter(kube).write(found, status, resource_version=found.metadata.resource_version)

    body = await kube.get(MODEL_DEPLOYMENTS, broken, namespace=NAMESPACE)
    written = ModelDeploymentStatus.model_validate(body["status"])
    stalled = next(c for c in written.conditions if c.type == ConditionType.STALLED)
    assert (written.phase, written.observed_generation) == (Phase.FAILED, 1)
    assert stalled.reason == Reason.INVALID_SPECIFICATION
    assert "spec.strategy.canary" in stalled.message
    assert "until the specification is corrected" in stalled.message
