"""Generated files are fresh, and the samples are what the contract accepts."""

from pathlib import Path

import pytest
import yaml

from sandbox import manifests, places
from slipway_api import names
from slipway_api.base import ContractModel
from slipway_api.compute_pool import ComputePoolSpec
from slipway_api.model_deployment import ModelDeploymentSpec

pytestmark = pytest.mark.contract

SPECS: dict[str, type[ContractModel]] = {
    names.MODEL_DEPLOYMENT_KIND: ModelDeploymentSpec,
    names.COMPUTE_POOL_KIND: ComputePoolSpec,
}
SAMPLES = sorted((places.checkout() / "manifests" / "samples").glob("*.yaml"))


def test_what_is_made_from_the_chart_is_fresh() -> None:
    expected = manifests.files(places.checkout())

    assert manifests.stale(expected) == [], "run `python -m sandbox.manifests --write`"


def test_the_chart_holds_no_definition_that_is_gone() -> None:
    top = places.checkout()

    kept = {path.name for path in (top / "charts" / "slipway" / "crds").iterdir()}

    assert kept == {path.name for path in (top / "crds").glob("*.yaml")}


def test_a_missing_and_a_changed_file_are_stale(tmp_path: Path) -> None:
    fresh, changed, missing = (tmp_path / name for name in ("fresh", "changed", "missing"))
    fresh.write_text("as made", encoding="utf-8")
    changed.write_text("by hand", encoding="utf-8")

    found = manifests.stale(dict.fromkeys([fresh, changed, missing], "as made"))

    assert found == [changed, missing]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_sample_is_valid_and_uses_only_fields_that_exist(path: Path) -> None:
    for each in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        model = SPECS[each["kind"]].model_validate(each["spec"])
        known = model.model_dump(by_alias=True, exclude_unset=True, mode="json")

        assert each["apiVersion"] == names.API_VERSION
        assert known == each["spec"]


def test_the_plain_manifest_makes_a_restricted_namespace_first() -> None:
    text = (places.checkout() / "manifests" / "install.yaml").read_text(encoding="utf-8")
    objects = list(yaml.safe_load_all(text))

    assert objects[0]["kind"] == "Namespace"
    labels = objects[0]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    # A kind and its first object cannot come from one `kubectl apply`.
    assert not any(each["apiVersion"] == names.API_VERSION for each in objects)
    assert not any("helm.sh/hook" in str(each["metadata"]) for each in objects)
