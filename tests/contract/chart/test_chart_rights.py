"""What the chart allows whom: as little as the work needs."""

from typing import Any

import pytest

from slipway_api import names

pytestmark = pytest.mark.contract

Object = dict[str, Any]

WRITING = {"create", "update", "patch", "delete", "deletecollection"}


def rules_of(objects: list[Object], *kinds: str) -> list[Object]:
    return [rule for each in objects if each["kind"] in kinds for rule in each["rules"]]


def test_no_rule_has_a_wildcard(objects: list[Object]) -> None:
    for rule in rules_of(objects, "ClusterRole", "Role"):
        for values in rule.values():
            assert not any("*" in value for value in values)


def test_no_right_to_secrets_reaches_beyond_the_own_namespace(objects: list[Object]) -> None:
    for rule in rules_of(objects, "ClusterRole"):
        assert "secrets" not in rule["resources"]


def test_one_secret_is_read_by_name_and_none_is_listed(objects: list[Object]) -> None:
    secrets = [rule for rule in rules_of(objects, "Role") if "secrets" in rule["resources"]]

    named = {tuple(rule.get("resourceNames", [])): set(rule["verbs"]) for rule in secrets}
    assert named == {("slipway-certificates",): {"get", "update"}, (): {"create"}}


def test_one_lease_is_held_by_name(objects: list[Object]) -> None:
    leases = [rule for rule in rules_of(objects, "Role") if "leases" in rule["resources"]]

    named = {tuple(rule.get("resourceNames", [])): set(rule["verbs"]) for rule in leases}
    assert named == {(names.LEASE,): {"get", "update"}, (): {"create"}}


def test_nobody_may_hand_out_rights_or_act_as_somebody_else(objects: list[Object]) -> None:
    for rule in rules_of(objects, "ClusterRole", "Role"):
        assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])
        assert "rbac.authorization.k8s.io" not in rule["apiGroups"]
        assert not {"pods/exec", "serviceaccounts/token", "nodes/proxy"} & set(rule["resources"])


def test_the_operator_never_changes_pods_nodes_or_pools(objects: list[Object]) -> None:
    (role,) = (
        each
        for each in objects
        if each["kind"] == "ClusterRole" and each["metadata"]["name"] == "slipway-operator"
    )

    for rule in role["rules"]:
        if {"pods", "nodes", "computepools"} & set(rule["resources"]):
            assert not WRITING & set(rule["verbs"])


def test_only_the_definitions_of_the_chart_can_be_upgraded(objects: list[Object]) -> None:
    (rule,) = (
        rule
        for rule in rules_of(objects, "ClusterRole")
        if "customresourcedefinitions" in rule["resources"]
    )

    assert rule["resourceNames"] == ["computepools.slipway.dev", "modeldeployments.slipway.dev"]
    assert rule["verbs"] == ["get", "patch"]


def test_people_with_the_usual_roles_see_and_change_model_deployments(
    objects: list[Object],
) -> None:
    roles = {each["metadata"]["name"]: each for each in objects if each["kind"] == "ClusterRole"}
    prefix = "rbac.authorization.k8s.io/aggregate-to-"

    def reach(name: str) -> set[str]:
        labels = roles[name]["metadata"]["labels"]
        return {label.removeprefix(prefix) for label in labels if label.startswith(prefix)}

    assert reach("slipway-view") == {"view", "edit", "admin"}
    assert reach("slipway-edit") == {"edit", "admin"}
    assert reach("slipway-command") == set()
    (viewing,) = roles["slipway-view"]["rules"]
    assert not WRITING & set(viewing["verbs"])
