"""`kubectl slipway` against a real API server, through the real kubectl.

There is no operator: the tests write the status that it would write. What it does with commands is
held by the end-to-end tests.
"""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any, Final

import pytest

from sandbox import plugin_archive
from sandbox.apiserver import ApiServer
from tests.samples import plugin_objects as samples

pytestmark = [pytest.mark.contract, pytest.mark.usefixtures("crds")]

TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.05
SAMPLES: Final = sorted(
    path
    for path in (Path(__file__).parents[3] / "manifests" / "samples").glob("*.yaml")
    if "  strategy:\n" in path.read_text(encoding="utf-8")
)


class Place:
    """A namespace with one deployment, and `kubectl slipway` as a user has it."""

    def __init__(self, server: ApiServer, plugin: Path, namespace: str) -> None:
        self.namespace = namespace
        folders = (server.kubectl.parent, plugin, os.environ["PATH"])
        self._environment = os.environ | {
            "PATH": os.pathsep.join(map(str, folders)),
            "KUBECONFIG": str(server.kubeconfig),
        }
        self.kubectl("create", "namespace", namespace)
        written = samples.deployment({})
        del written["status"], written["metadata"]["resourceVersion"]
        written["metadata"] |= {"namespace": namespace}
        self.kubectl("apply", "-f", "-", text=json.dumps(written))

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            ["kubectl", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
        )

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        process = self.start(*arguments)
        output, said = process.communicate(text, timeout=TIMEOUT_S)
        assert process.returncode == 0, said
        return output

    def slipway(self, verb: str, *arguments: str) -> tuple[int, str]:
        process = self.start("slipway", verb, samples.NAME, "-n", self.namespace, *arguments)
        output, said = process.communicate(timeout=TIMEOUT_S)
        return process.returncode, output + said

    def read(self) -> Any:
        return json.loads(self.kubectl("get", "md", samples.NAME, *self.space, "-o", "json"))

    @property
    def space(self) -> tuple[str, str]:
        return ("-n", self.namespace)

    def change(self, version: str) -> int:
        patch = {"spec": {"model": samples.sections(version)["model"]}}
        self.kubectl(
            *("patch", "md", samples.NAME, *self.space, "--type=merge"),
            f"--patch={json.dumps(patch)}",
        )
        return int(self.read()["metadata"]["generation"])

    def tell(self, status: dict[str, Any], *, generation: int | None = None) -> None:
        """Write a status as the operator would."""
        now = generation or self.read()["metadata"]["generation"]
        patch = {"status": {"observedGeneration": now} | status}
        self.kubectl(
            *("patch", "md", samples.NAME, *self.space, "--subresource=status", "--type=merge"),
            f"--patch={json.dumps(patch)}",
        )

    def record(self, name: str, number: int, version: str) -> None:
        body = samples.record(name, number, version) | {"apiVersion": "apps/v1"}
        body["metadata"] |= {"namespace": self.namespace}
        self.kubectl("apply", "-f", "-", text=json.dumps(body))


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plugin_archive.build(tmp_path_factory.mktemp("plugin"))


@pytest.fixture
def place(api_server: ApiServer, plugin: Path, request: pytest.FixtureRequest) -> Place:
    return Place(api_server, plugin, f"plugin-{abs(hash(request.node.name)) % 10**8}")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (samples.SERVING, 0),
        (samples.ROLLED_BACK, 2),
        (samples.ROLLING, 3),
        (samples.PAUSED, 4),
    ],
)
def test_status_and_wait_end_with_the_code_of_what_is_so(
    place: Place, status: dict[str, Any], code: int
) -> None:
    place.tell(status)

    assert place.slipway("status")[0] == code
    assert place.slipway("wait", "--timeout=2s")[0] == code
    assert json.loads(place.slipway("status", "-o", "json")[1])["exitCode"] == code


def test_what_is_not_there_ends_with_one_and_kubectls_words(place: Place) -> None:
    for verb in ("status", "wait", "explain", "history", "retry", "undo"):
        process = place.start("slipway", verb, "absent", *place.space)
        _, said = process.communicate(timeout=TIMEOUT_S)

        assert process.returncode == 1, verb
        assert '"absent" not found' in said


def test_waiting_follows_its_change_until_another_one_supersedes_it(place: Place) -> None:
    place.tell(samples.ROLLING | {"history": []})
    waiting = place.start("slipway", "wait", samples.NAME, *place.space, "--timeout=25s")
    deadline_s = time.monotonic() + TIMEOUT_S
    generation = 1
    while waiting.poll() is None and time.monotonic() < deadline_s:
        # Each change asks for another model, so one comes after whatever is waited for.
        generation = place.change(f"2.0.{generation}")
        time.sleep(POLL_S)
    output, said = waiting.communicate(timeout=TIMEOUT_S)

    assert waiting.returncode == 5, said
    assert "took the place of" in output


def test_waiting_for_a_generation_of_the_past_tells_how_it_ended(place: Place) -> None:
    place.change("1.4.0")
    place.tell(samples.SERVING | {"history": [samples.past("Aborted", generation=1)]})

    code, said = place.slipway("wait", "--generation=1", "--timeout=5s")

    assert (code, "was taken back" in said) == (2, True)


def test_a_command_is_an_annotation_and_its_answer_is_waited_for(place: Place) -> None:
    place.tell(samples.ROLLING)
    for result, code in (("Accepted", 0), ("Refused", 1)):
        asked = place.start("slipway", "abort", samples.NAME, *place.space)
        value = answer(place, result, before=place.read())
        output, said = asked.communicate(timeout=TIMEOUT_S)

        assert value.startswith(f"abort@{samples.NEW}#")
        assert asked.returncode == code, said
        assert ("because of the test" in output + said) == (result == "Refused")


def test_a_command_says_who_gave_it_and_why(place: Place) -> None:
    place.tell(samples.ROLLING)
    review = json.loads(place.kubectl("auth", "whoami", "-o", "json"))
    user = review["status"]["userInfo"]["username"].replace(":", "/")
    asked = place.start("slipway", "promote", samples.NAME, *place.space, "--why", "it's = good")
    value = answer(place, "Accepted", before=place.read())
    _, said = asked.communicate(timeout=TIMEOUT_S)

    assert asked.returncode == 0, said
    assert value.partition(" ")[2] == f"{user}: it's = good"


def answer(place: Place, result: str, *, before: Any) -> str:
    """Answer the next command as the operator would."""
    name = "slipway.dev/command"
    old = (before["metadata"].get("annotations") or {}).get(name)
    deadline_s = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline_s:
        value = str((place.read()["metadata"].get("annotations") or {}).get(name))
        if value not in ("None", old):
            message = "" if result == "Accepted" else "because of the test"
            told = {"value": value, "result": result, "message": message}
            place.tell({"command": told | {"at": "2026-03-01T12:00:00Z"}})
            return value
        time.sleep(POLL_S)
    raise AssertionError("no command came")


def test_a_command_that_nobody_answers_ends_with_three(place: Place) -> None:
    place.tell(samples.ROLLING)

    code, said = place.slipway("promote", "--timeout=1s")

    assert code == 3
    assert "has not answered within 1 s" in said


def test_without_a_candidate_there_is_nothing_to_command(place: Place) -> None:
    place.tell(samples.SERVING)

    code, said = place.slipway("promote")

    assert (code, "nothing to promote" in said) == (1, True)
    assert "annotations" not in place.read()["metadata"] or (
        "slipway.dev/command" not in place.read()["metadata"]["annotations"]
    )


def test_undo_writes_a_kept_specification_back_and_says_which_revision(place: Place) -> None:
    place.tell(samples.SERVING)
    place.record(samples.OLD, 6, "1.2.9")
    place.record(samples.NEW, 7, "1.3.0")

    shown = place.slipway("undo", "--dry-run")
    still = place.read()["spec"]["model"]["version"]
    asked = place.start("slipway", "undo", samples.NAME, *place.space)
    value = answer(place, "Accepted", before=place.read())
    output, said = asked.communicate(timeout=TIMEOUT_S)

    assert (shown[0], "1.2.9" in shown[1], still) == (0, True, "1.3.0")
    assert (asked.returncode, "churn-0a1b2c3d4e (1.2.9)" in output) == (0, True), said
    assert value.startswith(f"undo@{samples.OLD}#")
    spec = place.read()["spec"]
    assert (spec["model"]["version"], spec["compute"]["replicas"]) == ("1.2.9", 2)


def test_undo_to_what_serves_changes_nothing(place: Place) -> None:
    place.tell(samples.SERVING)
    place.record(samples.NEW, 7, "1.3.0")

    code, said = place.slipway("undo", "--to-revision=7")

    assert (code, "serves already" in said) == (0, True)
    assert place.read()["metadata"]["generation"] == 1


def test_watching_ends_with_the_rollout(place: Place) -> None:
    place.tell(samples.ROLLING)
    watching = place.start("slipway", "status", samples.NAME, *place.space, "--watch")
    assert watching.stdout is not None
    first = watching.stdout.readline()

    place.tell(samples.ROLLED_BACK | {"candidate": None, "waiting": None, "step": None})
    rest, said = watching.communicate(timeout=TIMEOUT_S)

    assert "RollingOut" in first
    assert watching.returncode == 2, said
    assert "RolledBack" in rest


def test_lists_are_by_namespace_and_label(place: Place) -> None:
    place.tell(samples.SERVING)
    place.kubectl("label", "md", samples.NAME, *place.space, "team=growth")

    def names(*options: str) -> list[str]:
        process = place.start("slipway", "status", "-o", "json", *options)
        found = json.loads(process.communicate(timeout=TIMEOUT_S)[0])
        return [item["namespace"] for item in found["items"]]

    assert place.namespace in names("-A")
    assert names(*place.space) == [place.namespace]
    assert names(*place.space, "-l", "team=other") == []


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.stem)
def test_a_plan_of_yaml_needs_kubectl_but_no_server(place: Place, file: Path) -> None:
    process = place.start("slipway", "plan", "-f", str(file), "-o", "json")
    output, said = process.communicate(timeout=TIMEOUT_S)

    assert process.returncode == 0, said
    assert json.loads(output)["strategy"] in file.read_text(encoding="utf-8")


def test_completion_is_installed_for_kubectl_and_names_deployments(
    place: Place, tmp_path: Path
) -> None:
    place.kubectl("slipway", "completion", "install", f"--folder={tmp_path}")

    completed = place.kubectl("slipway", "__complete", "status", *place.space, "")

    assert os.access(tmp_path / "kubectl_complete-slipway", os.X_OK)
    assert completed.splitlines() == [samples.NAME, ":4"]
