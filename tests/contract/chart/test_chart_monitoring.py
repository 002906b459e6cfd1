"""What the chart makes for a monitoring stack, and the pages that its alerts point to."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from sandbox import dashboards, panels, places
from slipway_api import metrics

pytestmark = pytest.mark.contract

Object = dict[str, Any]
Render = Callable[..., str]

ENABLED = {
    "monitoring": {
        "podMonitor": {"enabled": True, "labels": {"release": "stack"}},
        "rules": {"enabled": True, "runbookUrl": "https://example.com/runbooks/"},
        "dashboards": {"enabled": True},
    }
}
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
TOP = places.checkout()


@pytest.fixture(scope="module")
def monitoring(render: Render) -> dict[str, Object]:
    """The objects that are there only when monitoring is enabled, as "Kind/name"."""

    def named(text: str) -> dict[str, Object]:
        objects = [each for each in yaml.safe_load_all(text) if each is not None]
        return {f"{each['kind']}/{each['metadata']['name']}": each for each in objects}

    without = named(render())
    return {name: each for name, each in named(render(ENABLED)).items() if name not in without}


def alerts(rules: Object) -> list[Object]:
    return [rule for group in rules["spec"]["groups"] for rule in group["rules"]]


def test_nothing_of_a_monitoring_stack_is_made_unasked(monitoring: dict[str, Object]) -> None:
    assert sorted(monitoring) == [
        "ConfigMap/slipway-dashboard",
        "PodMonitor/slipway-model",
        "PodMonitor/slipway-operator",
        "PodMonitor/slipway-router",
        "PrometheusRule/slipway",
    ]


@pytest.mark.parametrize("component", ["operator", "router"])
def test_a_pod_monitor_selects_pods_and_a_port_that_they_have(
    render: Render, monitoring: dict[str, Object], component: str
) -> None:
    spec = monitoring[f"PodMonitor/slipway-{component}"]["spec"]
    objects = [each for each in yaml.safe_load_all(render()) if each is not None]
    (template,) = [
        each["spec"]["template"]
        for each in objects
        if each["kind"] == "Deployment" and each["metadata"]["name"] == f"slipway-{component}"
    ]

    (endpoint,) = spec["podMetricsEndpoints"]
    ports = {port["name"] for port in template["spec"]["containers"][0]["ports"]}

    assert spec["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert endpoint["port"] in ports
    assert endpoint["honorLabels"] is True


def test_model_pods_are_selected_in_every_namespace(monitoring: dict[str, Object]) -> None:
    golden = TOP / "tests" / "golden" / "workload" / "pod-plain.json"
    pod = json.loads(golden.read_text(encoding="utf-8"))
    spec = monitoring["PodMonitor/slipway-model"]["spec"]
    (endpoint,) = spec["podMetricsEndpoints"]

    assert spec["namespaceSelector"] == {"any": True}
    assert spec["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert endpoint["port"] in {port["name"] for port in pod["spec"]["containers"][0]["ports"]}


def test_a_stack_selects_objects_by_its_own_labels(monitoring: dict[str, Object]) -> None:
    labels = {name: each["metadata"]["labels"] for name, each in monitoring.items()}

    assert labels["PodMonitor/slipway-router"]["release"] == "stack"
    assert labels["ConfigMap/slipway-dashboard"]["grafana_dashboard"] == "1"


def test_every_alert_names_its_page_where_the_team_reads_it(monitoring: dict[str, Object]) -> None:
    for alert in alerts(monitoring["PrometheusRule/slipway"]):
        assert alert["alert"].startswith("Slipway")
        assert alert["labels"]["severity"] in {"page", "ticket"}
        assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
        assert alert["annotations"]["runbook_url"] == (
            f"https://example.com/runbooks/{alert['alert']}.md"
        )


def test_every_alert_has_a_page_and_every_page_an_alert(monitoring: dict[str, Object]) -> None:
    names = {alert["alert"] for alert in alerts(monitoring["PrometheusRule/slipway"])}
    pages = {path.stem: path.read_text("utf-8") for path in (TOP / "docs" / "runbooks").iterdir()}

    assert names == set(pages)
    for name, text in pages.items():
        assert text.startswith(f"# {name}\n")
        assert re.findall(r"^## (.+)$", text, re.M) == HEADINGS


def test_the_dashboard_shows_stable_left_and_candidate_right(
    monitoring: dict[str, Object],
) -> None:
    text = monitoring["ConfigMap/slipway-dashboard"]["data"]["slipway.json"]
    panels = {panel["title"]: panel["gridPos"] for panel in json.loads(text)["panels"]}
    pairs = [title.partition(":")[0] for title in panels if title.endswith(": stable")]

    assert json.loads(text) == dashboards.dashboard()
    assert pairs
    for title in pairs:
        left, right = panels[f"{title}: stable"], panels[f"{title}: candidate"]
        assert (left["x"], right["x"], left["y"]) == (0, 12, right["y"])


def test_no_two_panels_overlap() -> None:
    taken = [
        (x, y)
        for panel in dashboards.dashboard()["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < dashboards.WIDTH


def test_a_role_is_asked_for_wherever_it_is_known() -> None:
    expression = panels.of_role(
        f'{metrics.PODS}{{namespace="$namespace",name="$name"}}', "candidate"
    )

    assert expression == f'{metrics.PODS}{{namespace="$namespace",name="$name",role="candidate"}}'
