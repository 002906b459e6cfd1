"""Values: each does something, and a mistyped one is refused by its name."""

import copy
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.contract

Render = Callable[..., str]

# One change for each setting, at its path in values.yaml.
CHANGES: dict[str, Any] = {
    "imageRegistry": "registry.example.com",
    "imagePullSecrets": [{"name": "credentials"}],
    "logLevel": "debug",
    "logFormat": "text",
    "prometheus.url": "http://prometheus.monitoring:9090/prefix",
    "alertmanager.tokenSecret": "alertmanager-token",
    "operator.image.repository": "elsewhere/operator",
    "operator.image.tag": "other",
    "operator.image.digest": f"sha256:{'a' * 64}",
    "operator.image.pullPolicy": "Never",
    "operator.replicas": 3,
    "certificates.life": "24h",
    "operator.resources": {"requests": {"cpu": "7", "memory": "7Gi"}},
    "router.image.repository": "elsewhere/router",
    "router.image.tag": "other",
    "router.image.digest": f"sha256:{'b' * 64}",
    "router.image.pullPolicy": "Never",
    "router.replicas": 5,
    "router.concurrency": 7,
    "router.resources": {"requests": {"cpu": "7", "memory": "7Gi"}},
    "server.image.repository": "elsewhere/server",
    "server.image.tag": "other",
    "server.image.digest": f"sha256:{'c' * 64}",
    "server.image.pullPolicy": "Never",
    "pools": {"big": {"nodeSelector": {"size": "big"}}},
    "crds.upgrade": False,
    "monitoring.podMonitor": {"enabled": True},
    "monitoring.rules": {"enabled": True},
    "monitoring.dashboards": {"enabled": True},
    "networkPolicy.enabled": True,
    "networkPolicy.apiServerPorts": [16443],
    "networkPolicy.scrapers": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}],
    "networkPolicy.operatorEgress": [{"ports": [{"protocol": "TCP", "port": 9090}]}],
}


def nested(path: str, value: Any) -> dict[str, Any]:
    """Return {"a": {"b": value}} for "a.b"."""
    for part in reversed(path.split(".")):
        value = {part: value}
    return dict(value)


def settings_of(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the path of each setting: what CHANGES names, else every leaf."""
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict) and path not in CHANGES:
            yield from settings_of(value, f"{path}.")
        else:
            yield path


def test_every_setting_is_known_to_these_tests(chart: Path) -> None:
    values = yaml.safe_load((chart / "values.yaml").read_text(encoding="utf-8"))

    assert sorted(settings_of(values)) == sorted(CHANGES)


@pytest.mark.parametrize("path", CHANGES)
def test_every_setting_does_something(render: Render, path: str) -> None:
    section, _, name = path.partition(".")
    switch = {section: {"enabled": True}} if f"{section}.enabled" in CHANGES else {}
    changed = {section: switch.get(section, {}) | nested(name, CHANGES[path])} if name else None

    assert render(changed or nested(path, CHANGES[path])) != render(
        {} if name == "enabled" else switch
    )


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("imageRegisty", ""),
        ("operator.image.tagg", "operator.image"),
        ("router.replica", "router"),
        ("server.resources", "server"),
        ("crds.enabled", "crds"),
        ("pools.cpu.nodeselector", "pools.cpu"),
        ("pools.cpu.resources.request", "pools.cpu.resources"),
    ],
)
def test_an_unknown_value_is_refused_by_name(render: Render, path: str, where: str) -> None:
    key = path.rpartition(".")[2]

    with pytest.raises(RuntimeError, match=f"{where}: Additional property {key} is not allowed"):
        render(nested(path, "x"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("router.replicas", 0),
        ("router.replicas", "two"),
        ("router.concurrency", 0),
        ("logLevel", "verbose"),
        ("operator.image.pullPolicy", "Sometimes"),
        ("server.image.digest", "sha256:abc"),
        ("server.image.repository", "registry.example.com/x:tag"),
        ("imagePullSecrets", ["credentials"]),
        ("pools", {"Not_A_Name": {}}),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(render: Render, path: str, value: Any) -> None:
    with pytest.raises(RuntimeError, match="values don't meet the specifications"):
        render(nested(path, value))


def test_every_object_of_the_schema_is_closed(chart: Path) -> None:
    schema = json.loads((chart / "values.schema.json").read_text(encoding="utf-8"))
    del schema["properties"]["global"]  # Helm's own, filled in when the chart is a dependency

    def check(part: Any) -> None:
        if isinstance(part, dict):
            if part.get("type") == "object":
                assert part.get("additionalProperties", True) is not True, part
            for inner in part.values():
                check(inner)

    check(copy.deepcopy(schema))


def test_a_digest_wins_over_a_tag_and_the_registry_stands_before_every_image(
    render: Render,
) -> None:
    digest = f"sha256:{'d' * 64}"
    image = {"image": {"tag": "ignored", "digest": digest}}
    text = render(
        {"imageRegistry": "r.example.com/", "operator": image, "router": image, "server": image}
    )
    images = {line.split(": ")[1] for line in text.splitlines() if " image: " in line}

    assert images == {
        f"r.example.com/slipway/{name}@{digest}" for name in ("operator", "router", "server")
    }


@pytest.mark.parametrize(("version", "code"), [("1.30.9", 1), ("1.31.0", 0), ("1.35.4-gke.1", 0)])
def test_clusters_that_are_too_old_are_refused(
    chart: Path, helm: Path, version: str, code: int
) -> None:
    argv = [helm, "template", "slipway", chart, "--kube-version", version]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)

    assert done.returncode == code
    assert ("chart requires kubeVersion: >=1.31.0-0" in done.stderr) is bool(code)


def test_no_pool_is_a_valid_choice(render: Render) -> None:
    objects = [each for each in yaml.safe_load_all(render({"pools": {"cpu": None}})) if each]

    assert "ComputePool" not in {each["kind"] for each in objects}


def test_the_chart_passes_helms_own_lint(chart: Path, helm: Path) -> None:
    done = subprocess.run(
        [helm, "lint", "--strict", chart], capture_output=True, text=True, check=False, timeout=30
    )

    assert done.returncode == 0, done.stdout
