"""Undo: which revision is meant, and what is written for it."""

from typing import Any

import pytest

from slipway_api.model_deployment import ModelDeploymentSpec
from slipway_operator.engine import plan
from slipway_operator.render import workload
from slipway_plugin import going_back, overview
from slipway_plugin.exits import PluginError
from slipway_plugin.overview import Overview
from tests import builders
from tests.samples import plugin_objects as samples


def seen(status: dict[str, Any], records: Any = samples.RECORDS) -> Overview:
    return overview.collect(samples.deployment(status), records)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (samples.SERVING, samples.OLD),  # what the last promotion replaced
        (samples.ROLLING, samples.OLD),  # stable: the change is called off
        (samples.ROLLED_BACK, samples.OLD),  # stable: the specification says what serves
    ],
)
def test_without_a_revision_the_one_before_is_meant(status: dict[str, Any], expected: str) -> None:
    assert going_back.target(seen(status), None).name == expected


@pytest.mark.parametrize("wanted", ["6", samples.OLD, "0a1b2c3d4e"])
def test_a_revision_is_named_by_number_name_or_hash(wanted: str) -> None:
    assert going_back.target(seen(samples.SERVING), wanted).name == samples.OLD


def test_a_revision_that_is_not_kept_is_an_error_that_lists_the_kept_ones() -> None:
    with pytest.raises(PluginError, match=r"no kept record of revision 3.*6 \(churn-0a1b2c3d4e\)"):
        going_back.target(seen(samples.SERVING), "3")


def test_a_revision_that_was_kept_without_its_specification_is_said() -> None:
    early = samples.record(samples.OLD, 6, "1.2.9", is_early=True)

    with pytest.raises(PluginError, match="without its specification"):
        going_back.target(seen(samples.SERVING, [early]), "6")


def test_the_patch_asks_for_the_kept_sections_and_leaves_the_number_of_pods() -> None:
    of = seen(samples.SERVING)

    command = f"undo@{samples.OLD}#1"
    guard, model, note = going_back.patch(of, going_back.target(of, "6"), command=command)

    assert note == {
        "op": "add",
        "path": "/metadata/annotations",
        "value": {"slipway.dev/command": command},
    }
    assert guard == {"op": "test", "path": "/metadata/generation", "value": 5}
    assert model["path"] == "/spec/model"
    assert model["value"] == samples.sections("1.2.9")["model"]


def test_empty_parts_that_the_api_server_adds_are_no_difference() -> None:
    found = samples.deployment(samples.SERVING)
    found["spec"]["compute"] |= {"resources": {}}
    of = overview.collect(found, samples.RECORDS)

    assert going_back.is_there(of, going_back.target(of, "7"))


def test_nothing_is_written_if_it_is_asked_for_already() -> None:
    of = seen(samples.SERVING)

    assert going_back.is_there(of, going_back.target(of, "7"))


def test_what_the_operator_keeps_asks_for_the_same_revision_when_it_is_written_back() -> None:
    old = builders.spec("1", compute={"podLabels": {"team": "growth"}})
    new = builders.spec("2", replicas=5)
    kept = workload.Snapshot(workload.spec_sections(old), "", {})
    record = workload.controller_revision(
        workload.Owner(samples.NAMESPACE, samples.NAME, ""), samples.OLD, number=6, kept=kept
    )
    written = samples.deployment(samples.SERVING) | {"spec": new.to_wire()}
    of = overview.collect(written, [{"kind": "ControllerRevision", **record}])

    changes = going_back.sections(of, of.revisions[0])
    patched = new.to_wire() | {
        change["path"].rpartition("/")[2]: change["value"] for change in changes
    }
    asked = ModelDeploymentSpec.model_validate(patched)

    assert plan.revision_name("churn", asked) == plan.revision_name("churn", old)
    assert asked.compute.replicas == 5


def test_a_retry_means_the_rejected_revision_that_is_still_asked_for() -> None:
    other = [{"revision": "churn-5555555555", "reason": "Errors", "at": "2026-03-01T12:00:00Z"}]
    of = seen(samples.ROLLED_BACK | {"rejected": [*other, *samples.ROLLED_BACK["rejected"]]})

    assert going_back.rejected(of) == samples.NEW


def test_the_command_joins_annotations_that_are_there() -> None:
    found = samples.deployment(samples.SERVING)
    found["metadata"]["annotations"] = {"example.com/a": "b"}
    of = overview.collect(found, samples.RECORDS)

    *_, note = going_back.patch(of, going_back.target(of, "6"), command="undo@x#1")

    assert note["path"] == "/metadata/annotations/slipway.dev~1command"
