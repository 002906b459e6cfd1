"""Targets in the format of Prometheus' HTTP service discovery, one for each pod."""

from slipway_api.status import ModelDeploymentStatus
from slipway_operator.render import scrape_targets
from tests import builders

STATUS = ModelDeploymentStatus(stable="churn-a", candidate="churn-b")


def roles_of(*revisions: str) -> list[str]:
    workloads = [
        builders.workload(name, pods=[builders.pod(revision=name)], replicas=1)
        for name in revisions
    ]
    entries = scrape_targets.models(("ml", "churn"), STATUS, workloads)
    return [entry["labels"]["role"] for entry in entries]


def test_a_pod_carries_what_it_is_a_part_of() -> None:
    workload = builders.workload(
        "churn-b", pods=[builders.pod("churn-b-x", host="10.0.0.7")], replicas=1
    )

    assert scrape_targets.models(("ml", "churn"), STATUS, [workload]) == [
        {
            "targets": ["10.0.0.7:8080"],
            "labels": {
                "component": "model",
                "namespace": "ml",
                "modeldeployment": "churn",
                "revision": "churn-b",
                "role": "candidate",
                "pod": "churn-b-x",
            },
        }
    ]


def test_stable_and_candidate_are_told_apart_from_what_is_on_its_way_out() -> None:
    assert roles_of("churn-a", "churn-b", "churn-c") == ["stable", "candidate", "draining"]


def test_a_pod_that_is_not_ready_is_not_scraped() -> None:
    workload = builders.workload("churn-b", pods=[builders.pod(is_ready=False)], replicas=1)

    assert scrape_targets.models(("ml", "churn"), STATUS, [workload]) == []


def test_routers_and_operator_name_no_namespace_since_their_metrics_do() -> None:
    entries = [
        *scrape_targets.routers([("router-a", "10.1.0.1")]),
        *scrape_targets.operator("fd00::1", "operator-a"),
    ]

    assert entries == [
        {"targets": ["10.1.0.1:8002"], "labels": {"component": "router", "pod": "router-a"}},
        {"targets": ["[fd00::1]:8080"], "labels": {"component": "operator", "pod": "operator-a"}},
    ]
