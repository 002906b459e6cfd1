"""The chart, with either Helm, and the plain manifests against a bare, real API server."""

import importlib.util
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from sandbox import places, toolchain
from sandbox.apiserver import ApiServer
from sandbox.progress import silent

pytestmark = pytest.mark.contract

Object = dict[str, Any]
Program = Callable[..., str]

TOP = places.checkout()
CHART = TOP / "charts" / "slipway"
NAMESPACE = "slipway-system"
SERVICE_ACCOUNT = f"system:serviceaccount:{NAMESPACE}:slipway-operator"
DEFINITIONS = ["computepools.slipway.dev", "modeldeployments.slipway.dev"]
TIMEOUT_S = 60


@pytest.fixture(scope="module", params=["helm", "helm3"])
def program(request: pytest.FixtureRequest) -> Path:
    """Helm 4, and Helm 3."""
    return toolchain.ensure(request.param, log=silent)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, program: Path) -> Iterator[ApiServer]:
    """An API server for each Helm: it starts without any definition."""
    with ApiServer.start(tmp_path_factory.mktemp("bare")) as server:
        yield server


@pytest.fixture(scope="module")
def run(bare: ApiServer) -> Program:
    def ran(*argv: str | Path, text: str | None = None) -> str:
        done = subprocess.run(
            argv,
            env={**os.environ, "KUBECONFIG": str(bare.kubeconfig)},
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)
        return done.stdout

    return ran


@pytest.fixture(scope="module")
def kubectl(bare: ApiServer, run: Program) -> Program:
    return lambda *argv, text=None: run(bare.kubectl, *argv, text=text)


@pytest.fixture(scope="module")
def helm(run: Program, program: Path) -> Program:
    return lambda *argv: run(program, "--namespace", NAMESPACE, *argv)


@pytest.fixture(scope="module")
def installed(helm: Program, kubectl: Program) -> str:
    """Slipway in a restricted namespace, installed by one command; returns the notes."""
    kubectl("create", "namespace", NAMESPACE)
    kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    # Without a controller manager nobody makes the account of pods that name none.
    kubectl("create", "serviceaccount", "default", "--namespace", NAMESPACE)
    return str(helm("install", "slipway", CHART))


def test_one_command_installs_definitions_pool_and_programs(
    installed: str, kubectl: Program
) -> None:
    found = kubectl("get", "crd,computepools,deployments", "-A", "-o", "name").split()

    assert found == [
        *(f"customresourcedefinition.apiextensions.k8s.io/{name}" for name in DEFINITIONS),
        "computepool.slipway.dev/cpu",
        "deployment.apps/slipway-operator",
        "deployment.apps/slipway-router",
    ]


def test_the_notes_name_the_namespace_and_what_to_do_next(installed: str) -> None:
    notes = installed.partition("NOTES:\n")[2]

    assert len(notes.splitlines()) <= 25
    assert f"namespace {NAMESPACE}" in notes
    assert f"helm -n {NAMESPACE} test slipway" in notes


def test_every_pod_is_admitted_to_a_restricted_namespace(
    installed: str, helm: Program, kubectl: Program
) -> None:
    for pod in pods_of(helm("template", "slipway", CHART)):
        pod["spec"]["serviceAccountName"] = "default"  # admission here is about security only

        kubectl("create", "--dry-run=server", "-f", "-", text=json.dumps(pod))


def test_the_namespace_would_refuse_a_careless_pod(installed: str, kubectl: Program) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "careless", "namespace": NAMESPACE},
        "spec": {"containers": [{"name": "c", "image": "c"}]},
    }

    with pytest.raises(RuntimeError, match="violates PodSecurity"):
        kubectl("create", "--dry-run=server", "-f", "-", text=json.dumps(pod))


@pytest.mark.parametrize("path", sorted((TOP / "manifests" / "samples").iterdir()), ids=str)
def test_samples_are_accepted_as_they_are(installed: str, kubectl: Program, path: Path) -> None:
    kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", path)


@pytest.mark.parametrize(
    ("verb", "resource", "namespace", "answer"),
    [
        ("list", "modeldeployments.slipway.dev", "default", "yes"),
        ("patch", "modeldeployments.slipway.dev/status", "default", "yes"),
        ("create", "deployments.apps", "default", "yes"),
        ("create", "endpointslices.discovery.k8s.io", "default", "yes"),
        ("get", "secrets/slipway-certificates", NAMESPACE, "yes"),
        ("get", "secrets/other", NAMESPACE, "no"),
        ("list", "secrets", NAMESPACE, "no"),
        ("get", "secrets/slipway-certificates", "default", "no"),
        ("delete", "modeldeployments.slipway.dev", "default", "no"),
        ("create", "pods", "default", "no"),
        ("patch", "customresourcedefinitions.apiextensions.k8s.io", "default", "no"),
    ],
)
def test_the_operator_may_do_its_work_and_no_more(
    installed: str, kubectl: Program, verb: str, resource: str, namespace: str, answer: str
) -> None:
    kind, _, name = resource.partition("/")
    subresource = [f"--subresource={name}"] if name == "status" else []
    named = kind if subresource or not name else resource
    asked = ["auth", "can-i", verb, named, *subresource, "-n", namespace, "--as", SERVICE_ACCOUNT]

    try:
        found = kubectl(*asked)
    except RuntimeError as err:  # kubectl exits with 1 for "no"
        found = str(err)

    assert found.splitlines()[0].partition(" ")[0] == answer


def test_an_upgrade_job_brings_old_definitions_up_to_date_with_its_own_rights(
    installed: str,
    helm: Program,
    kubectl: Program,
    bare: ApiServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rendered = helm("template", "slipway", CHART, "-s", "templates/crds-upgrade.yaml")
    hooks = [each for each in yaml.safe_load_all(rendered) if each and each["kind"] != "Job"]
    kubectl("apply", "-f", "-", text=yaml.safe_dump_all(hooks))
    for name in DEFINITIONS:
        kubectl("patch", "crd", name, "--type=json", "--patch", without_schema())
    (config,) = (each for each in hooks if each["kind"] == "ConfigMap")
    for file, text in config["data"].items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    account = tmp_path / "account"
    account.mkdir()
    token = kubectl("create", "token", "slipway-crds-upgrade", "--namespace", NAMESPACE)
    (account / "token").write_text(token, encoding="utf-8")
    (account / "ca.crt").write_bytes((bare.folder / "pki" / "ca.crt").read_bytes())
    address = urlsplit(bare.url)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(address.hostname))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(address.port))
    script = load(tmp_path / "upgrade_crds.py")
    monkeypatch.setattr(script, "SERVICE_ACCOUNT", account)

    assert script.main(tmp_path) == 0

    for name in DEFINITIONS:
        (version,) = json.loads(kubectl("get", "crd", name, "-o", "json"))["spec"]["versions"]
        assert "spec" in version["schema"]["openAPIV3Schema"]["properties"]


def test_uninstalling_keeps_definitions_and_deployments_and_installing_again_works(
    installed: str, helm: Program, kubectl: Program
) -> None:
    sample = TOP / "manifests" / "samples" / "model_deployment.yaml"
    kubectl("apply", "--namespace", "default", "-f", sample)

    helm("uninstall", "slipway", "--no-hooks")  # nobody would run the Job that leads clients away
    kept = kubectl("get", "modeldeployments", "--all-namespaces", "-o", "name")
    helm("install", "slipway", CHART)

    assert kept.split() == ["modeldeployment.slipway.dev/identity"]


def test_the_plain_manifest_installs_without_helm(tmp_path: Path) -> None:
    with ApiServer.start(tmp_path) as server:
        base: list[str | Path] = [server.kubectl, f"--kubeconfig={server.kubeconfig}"]
        apply: list[str | Path] = [*base, "apply", "--server-side", "-f"]
        wait: list[str | Path] = [
            *base,
            "wait",
            "--for=condition=Established",
            "--timeout=30s",
            "crd",
        ]
        commands: list[list[str | Path]] = [
            [*apply, TOP / "manifests" / "install.yaml"],
            [*wait, *DEFINITIONS],
            [*apply, TOP / "manifests" / "samples" / "compute_pool.yaml"],
        ]
        for command in commands:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
            )
            assert (done.returncode, done.stderr) == (0, "")


def pods_of(rendered: str) -> Iterator[Object]:
    """Yield a pod as each workload would make it."""
    for each in yaml.safe_load_all(rendered):
        if each is None:
            continue
        name = each["metadata"]["name"]
        if each["kind"] == "Pod":
            yield each
        elif "template" in each.get("spec", {}):
            yield {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": each["spec"]["template"]["spec"] | {"restartPolicy": "Never"},
            }


def without_schema() -> str:
    """Return a JSON patch to a definition that knows nothing of its objects."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    path = "/spec/versions/0/schema/openAPIV3Schema"
    return json.dumps([{"op": "replace", "path": path, "value": schema}])


def load(file: Path) -> ModuleType:
    """Import a Python file by its path."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
