"""Steps of a run against a real API server: what is applied, seen and told."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench import account, changes, ledger, models, stage
from sandbox.apiserver import ApiServer

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("crds")]

TARGET = stage.Target("stage-tests", changes.NAME)
RELEASE = models.Release(
    model="tumour",
    version="1.0.0",
    behaviour="good",
    note="",
    file="tumour/1.0.0.onnx",
    digest="sha256:" + "0" * 64,
    accuracy=None,
    sibling=None,
)


@dataclass(frozen=True)
class OnlyApi:
    """A cluster that is nothing but an API server."""

    server: ApiServer

    @property
    def kubeconfig(self) -> Path:
        return self.server.kubeconfig

    @property
    def host_address(self) -> str:
        return "127.0.0.1"

    def environment(self) -> Mapping[str, str]:
        path = f"{self.server.kubectl.parent}:{os.environ['PATH']}"
        return {"PATH": path, "KUBECONFIG": str(self.server.kubeconfig), "HOME": os.environ["HOME"]}

    def client_command(self, command: Sequence[str]) -> list[str]:
        return list(command)


@pytest.fixture
def run(api_server, tmp_path):
    """A stage on the API server, what its account said, and its ledger."""
    path = tmp_path / "ledger.jsonl"
    said: list[str] = []
    with ledger.Writer(path) as writer:
        subject = stage.Stage(OnlyApi(api_server), TARGET, writer=writer, ledger_path=path)
        subject.make_namespace()
        teller = stage.Teller(
            account.Account(said.append, began_s=time.time(), has_colour=False), path
        )
        yield subject, teller, said, path
        subject.close()
        subject.run("kubectl", "delete", "md", "--all", "-n", TARGET.namespace)


def manifest(version="1.0.0"):
    document = changes.manifest(RELEASE, (changes.Step(10, 5),), base_url="http://127.0.0.1:1")
    document["metadata"]["namespace"] = TARGET.namespace
    document["spec"]["model"]["version"] = version
    return document


def write_status(subject, status):
    subject.run(
        *("kubectl", "patch", "md", TARGET.name, "-n", TARGET.namespace),
        *("--subresource=status", "--type=merge", "-p", json.dumps({"status": status})),
    )


def tell_event(subject, note):
    event = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"tumour.{time.time_ns():x}", "namespace": TARGET.namespace},
        "eventTime": time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime()),
        "reportingController": "slipway.dev/tests",
        "reportingInstance": "tests",
        "action": "Abort",
        "reason": "Errors",
        "type": "Warning",
        "note": note,
        "regarding": {
            "apiVersion": "slipway.dev/v1alpha1",
            "kind": "ModelDeployment",
            "name": TARGET.name,
            "namespace": TARGET.namespace,
        },
    }
    subject.run("kubectl", "create", "-f", "-", text=json.dumps(event))


def test_each_change_has_a_generation_of_its_own(run):
    subject, *_ = run

    generations = [subject.apply(manifest(version)) for version in ("1.0.0", "1.0.0", "1.1.0")]

    assert generations == [1, 1, 2]


def test_what_kubectl_would_show_is_told_and_noted(run):
    subject, teller, said, path = run
    subject.watch()
    subject.apply(manifest())

    write_status(subject, {"observedGeneration": 1, "phase": "Serving", "stable": "tumour-a"})
    subject.wait(
        lambda seen: seen.status.phase == "Serving", what="serving", timeout_s=20, teller=teller
    )
    tell_event(subject, "9 of 9 attempts failed")
    deadline = time.monotonic() + 20
    while not subject.warning_count and time.monotonic() < deadline:
        subject.turn(teller)

    told = [line.partition("  ")[2] for line in said]
    assert told[-2:] == [
        "Serving · tumour-a",
        "event Warning Errors: 9 of 9 attempts failed",
    ]
    subject.close()
    noted = [line for line in ledger.read(path) if isinstance(line, ledger.Observation)]
    assert all(line.phase in (None, "Serving") for line in noted)


def test_a_wait_in_vain_says_where_the_deployment_stands(run):
    subject, teller, *_ = run
    subject.watch()
    subject.apply(manifest())
    write_status(subject, {"observedGeneration": 1, "phase": "Pending"})

    with pytest.raises(stage.StageError, match="serving not after 3 s; the deployment: Pending"):
        subject.wait(lambda seen: False, what="serving", timeout_s=3, teller=teller)


def test_what_the_api_server_refuses_is_said_in_its_words(run):
    subject, *_ = run
    document = manifest()
    document["spec"]["compute"]["replicas"] = 0

    with pytest.raises(stage.StageError, match=r"spec\.compute\.replicas"):
        subject.apply(document)


def test_a_dump_holds_what_a_person_would_look_at(run, tmp_path):
    subject, *_ = run
    subject.apply(manifest())

    subject.dump(tmp_path / "dump")

    assert "tumour" in (tmp_path / "dump" / "modeldeployment.yaml").read_text()
    assert "Name:" in (tmp_path / "dump" / "describe.txt").read_text()
