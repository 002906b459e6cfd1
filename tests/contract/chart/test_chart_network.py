"""Who reaches whom under the chart's NetworkPolicies, worked out as Kubernetes defines them."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.contract

Object = dict[str, Any]
Render = Callable[..., str]

PORTS = {"xds": 18000, "http": 8080, "health": 8002}
MODEL = {"app.kubernetes.io/name": "slipway", "app.kubernetes.io/component": "model"}
OURS = {"app.kubernetes.io/name": "slipway", "app.kubernetes.io/instance": "slipway"}
HERE, ELSEWHERE = "slipway-system", "ml"


def pod(component: str) -> tuple[str, dict[str, str]]:
    """Return where one of our pods lives, and its labels."""
    return HERE, {**OURS, "app.kubernetes.io/component": component}


@pytest.fixture(scope="module")
def policies(render: Render) -> list[Object]:
    objects = yaml.safe_load_all(render({"networkPolicy": {"enabled": True}}))
    return [each for each in objects if each and each["kind"] == "NetworkPolicy"]


def matches(selector: Object, labels: dict[str, str]) -> bool:
    """Evaluate a label selector, as far as the chart uses it."""
    expressions = selector.get("matchExpressions", [])
    assert all(each["operator"] == "In" for each in expressions)
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(each["key"]) in each["values"] for each in expressions
    )


def is_peer(peer: Object, where: tuple[str, dict[str, str]]) -> bool:
    """Tell whether a peer of a rule means a pod; without a namespaceSelector: of this namespace."""
    namespace, labels = where
    if "namespaceSelector" in peer:
        assert peer["namespaceSelector"] == {}
    elif namespace != HERE:
        return False
    return matches(peer.get("podSelector", {}), labels)


def is_open(rule: Object, direction: str, *, peer: tuple[str, dict[str, str]], port: int) -> bool:
    """Tell whether a rule lets a pod through at a port."""
    peers = rule.get(direction)
    if peers is not None and not any(is_peer(each, peer) for each in peers):
        return False
    ranges = [
        (PORTS.get(each["port"], each["port"]), each.get("endPort"))
        for each in rule["ports"]
        if each["protocol"] == "TCP"
    ]
    return any(first <= port <= (last or first) for first, last in ranges)


def rules(policies: Iterable[Object], kind: str, labels: dict[str, str]) -> list[Object] | None:
    """List what applies to a pod in one direction; None: no policy does, all is open."""
    mine = [
        each["spec"]
        for each in policies
        if matches(each["spec"]["podSelector"], labels) and kind in each["spec"]["policyTypes"]
    ]
    return [rule for spec in mine for rule in spec.get(kind.lower(), [])] if mine else None


def reaches(
    policies: list[Object],
    source: tuple[str, dict[str, str]],
    target: tuple[str, dict[str, str]],
    *,
    port: int,
) -> bool:
    """Tell whether one pod may connect to another."""
    leaving = rules(policies, "Egress", source[1]) if source[0] == HERE else None
    coming = rules(policies, "Ingress", target[1]) if target[0] == HERE else None
    out = leaving is None or any(is_open(r, "to", peer=target, port=port) for r in leaving)
    into = coming is None or any(is_open(r, "from", peer=source, port=port) for r in coming)
    return out and into


CLIENT = (ELSEWHERE, {"app": "client"})
MODEL_POD = (ELSEWHERE, MODEL)
STRANGER = (HERE, {"app": "stranger"})


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [
        (CLIENT, pod("router"), 10000),
        (CLIENT, pod("router"), 32767),
        (pod("router"), pod("operator"), 18000),
        (pod("router"), MODEL_POD, 8080),
        (pod("router"), MODEL_POD, 9000),
        (pod("router"), (HERE, MODEL), 8080),
        (pod("operator"), pod("router"), 10000),
        (pod("operator"), MODEL_POD, 8080),
        (pod("test"), pod("router"), 10000),
        (CLIENT, pod("operator"), 8080),
        (CLIENT, pod("router"), 8002),
    ],
    ids=str,
)
def test_what_the_work_needs_is_open(
    policies: list[Object],
    source: tuple[str, dict[str, str]],
    target: tuple[str, dict[str, str]],
    port: int,
) -> None:
    assert reaches(policies, source, target, port=port)


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [
        (CLIENT, pod("operator"), 18000),
        (STRANGER, pod("operator"), 18000),
        (pod("router"), pod("operator"), 8081),
        (pod("router"), CLIENT, 5432),
        (pod("router"), MODEL_POD, 22),
        (pod("operator"), CLIENT, 5432),
        (pod("detach"), MODEL_POD, 8080),
        (pod("test"), MODEL_POD, 8080),
        (CLIENT, pod("test"), 8080),
        (CLIENT, pod("router"), 9901),
    ],
    ids=str,
)
def test_everything_else_is_closed(
    policies: list[Object],
    source: tuple[str, dict[str, str]],
    target: tuple[str, dict[str, str]],
    port: int,
) -> None:
    assert not reaches(policies, source, target, port=port)


@pytest.mark.parametrize("component", ["operator", "crds-upgrade", "detach"])
@pytest.mark.parametrize("port", [443, 6443])
def test_who_has_rights_at_the_api_server_reaches_it(
    policies: list[Object], component: str, port: int
) -> None:
    leaving = rules(policies, "Egress", pod(component)[1]) or []

    assert any(is_open(rule, "to", peer=("nowhere", {}), port=port) for rule in leaving)


def test_every_pod_of_the_chart_is_closed_by_default(
    policies: list[Object], objects: list[Object]
) -> None:
    (closed,) = (each for each in policies if each["metadata"]["name"] == "slipway-default")
    assert closed["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & set(closed["spec"])

    for each in objects:
        template = each if each["kind"] == "Pod" else each.get("spec", {}).get("template")
        if template:
            assert matches(closed["spec"]["podSelector"], template["metadata"]["labels"])


def test_policies_are_a_choice(objects: list[Object]) -> None:
    assert "NetworkPolicy" not in {each["kind"] for each in objects}


def test_only_named_scrapers_see_metrics(render: Render) -> None:
    peers = [{"podSelector": {"matchLabels": {"app": "prometheus"}}}]
    values = {"networkPolicy": {"enabled": True, "scrapers": peers}}
    found = [each for each in yaml.safe_load_all(render(values)) if each]
    policies = [each for each in found if each["kind"] == "NetworkPolicy"]

    assert not reaches(policies, CLIENT, pod("operator"), port=8080)
    assert reaches(policies, (HERE, {"app": "prometheus"}), pod("operator"), port=8080)
    assert reaches(policies, (HERE, {"app": "prometheus"}), pod("router"), port=8002)
