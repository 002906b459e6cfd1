"""The generated definitions in a real API server."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
import yaml

from sandbox.apiserver import ApiServer
from slipway_api.crd import KINDS
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_errors import ApiError, Invalid
from slipway_operator.adapters.kube_http import Object, Request
from slipway_operator.adapters.kube_resources import (
    COMPUTE_POOLS,
    CUSTOM_RESOURCE_DEFINITIONS,
    MODEL_DEPLOYMENTS,
    Resource,
)
from tests.samples.contract_objects import (
    FULL_SPEC,
    MINIMAL,
    POOL,
    REFUSED,
    REFUSED_POOLS,
    TAKEN,
    Refused,
    RefusedPool,
    X,
    Y,
    changed,
    expecting,
    golden,
)

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("crds")]

CRDS: Final = Path(__file__).parents[3] / "crds"


async def try_create(kube: KubeClient, resource: Resource, body: Object) -> Object:
    """Create an object without keeping it; strict, as kubectl does."""
    request = Request(
        method="POST",
        path=resource.path(namespace=body["metadata"].get("namespace")),
        query={"dryRun": "All", "fieldValidation": "Strict"},
        data=orjson.dumps(body),
    )
    created: Object = orjson.loads((await kube.raw(request)).body)
    return created


def kubectl(server: ApiServer, *arguments: str, text: str | None = None) -> str:
    done = subprocess.run(
        [server.kubectl, f"--kubeconfig={server.kubeconfig}", *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return done.stdout


@pytest.mark.parametrize("path", sorted(CRDS.glob("*.yaml")), ids=lambda path: path.stem)
async def test_the_definitions_are_taken_without_a_warning(kube: KubeClient, path: Path) -> None:
    body = yaml.safe_load(path.read_text())

    answer = await kube.raw(
        Request(
            method="PATCH",
            path=CUSTOM_RESOURCE_DEFINITIONS.path(name=body["metadata"]["name"]),
            query={
                "fieldManager": "tests",
                "force": "true",
                "dryRun": "All",
                "fieldValidation": "Strict",
            },
            data=orjson.dumps(body),
            content_type="application/apply-patch+yaml",
        )
    )

    assert answer.warnings == ()
    conditions = orjson.loads(answer.body)["status"]["conditions"]
    assert not [c for c in conditions if c["type"] == "NonStructuralSchema"]


@pytest.mark.parametrize("sample", TAKEN)
async def test_sensible_deployments_are_taken(kube: KubeClient, sample: Object) -> None:
    await try_create(kube, MODEL_DEPLOYMENTS, sample)


@pytest.mark.parametrize("sample", REFUSED, ids=str)
async def test_senseless_deployments_are_refused_with_advice(
    kube: KubeClient, sample: Refused
) -> None:
    with pytest.raises(Invalid) as refusal:
        await try_create(kube, MODEL_DEPLOYMENTS, sample.object)

    assert sample.words in refusal.value.message


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"signature": {"inputs": [X, X], "outputs": [Y]}}, "inputs[1]: Duplicate value"),
        (
            {"signature": {"inputs": [X | {"datatype": "FLOAT"}], "outputs": [Y]}},
            'inputs[0].datatype: Unsupported value: "FLOAT": supported values: "BOOL"',
        ),
        (expecting(golden(x={"datatype": "BF16"})), 'datatype: Unsupported value: "BF16"'),
        (expecting(golden(x={"data": 1})), 'data: Invalid value: "integer"'),
        (expecting(warmUp=[{"x": [0, 2]}]), "should be greater than or equal to 1"),
        ({"goldenRequest": []}, 'unknown field "spec.model.expectations.goldenRequest"'),
    ],
)
async def test_expectations_that_no_model_can_meet_are_refused(
    kube: KubeClient, given: Object, words: str
) -> None:
    with pytest.raises(ApiError) as refusal:
        await try_create(
            kube, MODEL_DEPLOYMENTS, changed(MINIMAL, "spec.model.expectations", given)
        )

    assert words in refusal.value.message


async def test_pools_are_taken(kube: KubeClient) -> None:
    await try_create(kube, COMPUTE_POOLS, POOL)


@pytest.mark.parametrize("sample", REFUSED_POOLS, ids=str)
async def test_senseless_pools_are_refused_with_advice(
    kube: KubeClient, sample: RefusedPool
) -> None:
    with pytest.raises(Invalid) as refusal:
        await try_create(kube, COMPUTE_POOLS, sample.object)

    assert sample.words in refusal.value.message


async def test_a_refusal_points_at_the_field(kube: KubeClient) -> None:
    wrong = changed(MINIMAL, "spec.model.uri", "gs://models/churn")

    with pytest.raises(Invalid, match=r"spec\.model\.uri: Invalid value"):
        await try_create(kube, MODEL_DEPLOYMENTS, wrong)


async def test_an_unknown_field_is_refused(kube: KubeClient) -> None:
    with pytest.raises(Invalid, match=r'unknown field "spec\.compute\.replicaz"'):
        await try_create(kube, MODEL_DEPLOYMENTS, changed(MINIMAL, "spec.compute.replicaz", 2))


def test_kubectl_apply_exchanges_the_strategy_that_nobody_named(api_server: ApiServer) -> None:
    """A default written into the object would stay beside what is applied later."""
    named = changed(MINIMAL, "metadata.name", "exchanged")

    for strategy in (None, {"rolling": {}}, {"direct": {}}, None):
        body = named if strategy is None else changed(named, "spec.strategy", strategy)
        kubectl(api_server, "apply", "--filename=-", text=json.dumps(body))
    found = json.loads(kubectl(api_server, "get", "md", "exchanged", "--output=json"))
    kubectl(api_server, "delete", "md", "exchanged")

    assert "strategy" not in found["spec"]


async def test_defaults_are_filled_at_every_level(kube: KubeClient) -> None:
    created = await try_create(kube, MODEL_DEPLOYMENTS, MINIMAL)

    assert created["spec"] == MINIMAL["spec"] | {
        "runtime": {"name": "onnx"},
        "compute": {"pool": "cpu", "replicas": 1, "resources": {}},
        "analysis": {"insufficient": {"after": "30m", "then": "hold"}},
        "traffic": {"timeout": "60s", "retry": "any"},
    }
    assert created["status"] == {"observedGeneration": -1}


async def test_a_full_spec_is_kept_as_it_was_written(kube: KubeClient) -> None:
    created = await try_create(kube, MODEL_DEPLOYMENTS, changed(MINIMAL, "spec", FULL_SPEC))

    filled = changed(created, "spec.runtime.env", FULL_SPEC["runtime"]["env"])
    filled["spec"]["strategy"] = FULL_SPEC["strategy"]
    assert filled["spec"] == FULL_SPEC


async def test_the_columns_of_kubectl_get_show_the_status(
    kube: KubeClient, api_server: ApiServer
) -> None:
    body = changed(MINIMAL, "metadata.name", "columns")
    created = await kube.create(MODEL_DEPLOYMENTS, body)
    await kube.apply_status(
        MODEL_DEPLOYMENTS,
        {
            "metadata": {
                "name": "columns",
                "namespace": "default",
                "resourceVersion": created["metadata"]["resourceVersion"],
            },
            "status": {
                "observedGeneration": 1,
                "phase": "RollingOut",
                "stable": "columns-aaaa",
                "candidate": "columns-bbbb",
                "weight": {"asked": 25, "verified": 5},
                "conditions": [
                    {
                        "type": "Ready",
                        "status": "False",
                        "reason": "RollingOut",
                        "message": "step 1 of 3",
                        "lastTransitionTime": "2026-01-01T00:00:00.123456Z",
                    }
                ],
            },
        },
    )

    head, row = kubectl(api_server, "get", "md", "columns", "-o", "wide").splitlines()

    assert head.split() == [
        *("NAME", "PHASE", "STABLE", "CANDIDATE", "WEIGHT", "READY", "AGE", "MESSAGE"),
    ]
    cells = row.split(maxsplit=7)
    assert cells[:6] == ["columns", "RollingOut", "columns-aaaa", "columns-bbbb", "5", "False"]
    assert cells[7].strip() == "step 1 of 3"
    wide_only = kubectl(api_server, "get", "md", "columns").splitlines()[0]
    assert "MESSAGE" not in wide_only


@pytest.mark.usefixtures("kube")
def test_kubectl_finds_the_kinds_by_category_and_short_name(api_server: ApiServer) -> None:
    listed = kubectl(api_server, "api-resources", "--categories=slipway", "--no-headers")

    found = {tuple(line.split()[:2]) for line in listed.splitlines()}
    assert found == {("modeldeployments", "md"), ("computepools", "pool")}


@pytest.mark.parametrize("kind", KINDS, ids=[kind.kind for kind in KINDS])
def test_kubectl_explain_describes_every_field(api_server: ApiServer, kind: Any) -> None:
    text = kubectl(api_server, "get", "--raw", "/openapi/v3/apis/slipway.dev/v1alpha1")
    schemas = json.loads(text)["components"]["schemas"]
    schema = schemas[f"dev.slipway.v1alpha1.{kind.kind}"]

    assert empty_descriptions(schema) == []
    assert "<empty>" not in kubectl(api_server, "explain", f"{kind.short_name}.spec")


def empty_descriptions(node: Object, path: str = "") -> list[str]:
    """List the fields without a word on them, everywhere below a node."""
    found = []
    for name, child in node.get("properties", {}).items():
        if "$ref" not in str(child.get("allOf", child)) and not child.get("description"):
            found.append(f"{path}.{name}")
        found += empty_descriptions(child, f"{path}.{name}")
    if "items" in node:
        found += empty_descriptions(node["items"], f"{path}[]")
    return found
