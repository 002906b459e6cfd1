"""What tests and benches do on a cluster with Slipway: apply, look, ask as a client, wait.

It judges nothing. Every wait has a deadline and says at the end what was there instead.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from kubernetes import client

from bench import stage
from bench.ground import Ground
from bench.stage import Target
from sandbox import places
from slipway_api import names
from slipway_api.conditions import ConditionType
from slipway_api.status import Condition, ModelDeploymentStatus

T = TypeVar("T")
Object = dict[str, Any]

SYSTEM_NAMESPACE: Final = stage.SYSTEM_NAMESPACE
CHART: Final = places.checkout() / "charts" / "slipway"
COMMAND_S: Final = 120.0
STARTED_S: Final = 120.0  # from apply to serving on a busy machine
SOON_S: Final = 30.0
LOAD_S_MAX: Final = 1200.0
POLL_S: Final = 0.3
IDENTITY: Final = "identity"
IDENTITY_URI: Final = "file:///opt/slipway/share/identity.onnx"
# What curl tells of an answer.
FACTS: Final = f"%{{http_code}},%header{{{names.HEADER_REVISION}}},%header{{{names.HEADER_STATIC}}}"
GRPC_CLIENT: Final = Path(__file__).parent / "grpc_client.py"
QUESTION: Final = json.dumps(
    {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.0, -2.5]}]}
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as its client saw it; `status` is HTTP's code or gRPC's name."""

    status: str
    revision: str
    body: str
    is_static: bool = False


def manifest(target: Target, *, version: str = "1", **more: Any) -> Object:
    """Write a small ModelDeployment of the identity model.

    `more` are sections of the spec; of `model`, `compute` and `strategy` only what differs.
    """
    model = {"name": IDENTITY, "version": version, "uri": IDENTITY_URI} | more.pop("model", {})
    requests = {"cpu": "20m", "memory": "96Mi"}
    compute = {"resources": {"requests": requests}} | more.pop("compute", {})
    steps = more.pop("steps", [{"weight": 50}])
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.MODEL_DEPLOYMENT_KIND,
        "metadata": {"name": target.name, "namespace": target.namespace},
        "spec": {"model": model, "compute": compute, "strategy": {"canary": {"steps": steps}}}
        | more,
    }


def condition(status: ModelDeploymentStatus, kind: ConditionType) -> Condition | None:
    """Find a condition that is true."""
    return next((c for c in status.conditions if c.type == kind and c.status == "True"), None)


def eventually(look: Callable[[], T | None], *, what: str, timeout_s: float = SOON_S) -> T:
    """Look until something is there; AssertionError with `what` when the time is over."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline_s, f"not within {timeout_s:.0f} s: {what}"
        time.sleep(POLL_S)


class Scene:
    """A cluster with Slipway on it."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        # What is looked at again and again is read here: a kubectl each time costs a processor.
        connection = stage.api_client(ground.kubeconfig)
        self._objects: Any = client.CustomObjectsApi(connection)
        self._core: Any = client.CoreV1Api(connection)

    def run(self, *command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program of the cluster's environment to its end, whatever that is."""
        return subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_S,
            env=dict(self.ground.environment()),
        )

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Run kubectl, which must succeed."""
        done = self.run("kubectl", *arguments, text=text)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def read(self, *arguments: str) -> Any:
        """Read an object or a list."""
        return json.loads(self.kubectl("get", *arguments, "--output=json"))

    def make_namespace(self, name: str) -> str:
        """Make a namespace that takes restricted pods only."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        metadata = {"name": name, "labels": labels}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        return name

    def apply(self, *objects: Object) -> None:
        """Apply objects as a user would."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "--filename=-", text=json.dumps(listed))

    def refusal(self, wanted: Object) -> str:
        """Apply what must be refused, and return what kubectl says."""
        done = self.run("kubectl", "apply", "--filename=-", text=json.dumps(wanted))
        assert done.returncode != 0, f"accepted: {done.stdout}"
        return done.stderr

    def delete(self, *targets: Target) -> None:
        """Delete ModelDeployments and wait until their pods are gone, so that others have CPU."""
        for target in targets:
            self.kubectl(
                *("delete", "md", target.name, f"--namespace={target.namespace}"),
                *("--ignore-not-found", "--wait=false"),
            )
        for target in targets:
            self._await_absence(target)

    def _await_absence(self, target: Target) -> None:
        eventually(lambda: not self.pods(target), what=f"{target} ends", timeout_s=STARTED_S)

    def pods(self, target: Target) -> list[Object]:
        """List the pods of a ModelDeployment."""
        answer = self._core.list_namespaced_pod(
            target.namespace,
            label_selector=f"{names.LABEL_DEPLOYMENT}={target.name}",
            _preload_content=False,
            _request_timeout=COMMAND_S,
        )
        items: list[Object] = json.loads(answer.data)["items"]
        return items

    def status(self, target: Target) -> ModelDeploymentStatus:
        """Read the status."""
        return self._look(target)[1]

    def statuses(self, namespace: str) -> dict[str, ModelDeploymentStatus]:
        """Read the statuses of a namespace, by name."""
        found: Object = self._objects.list_namespaced_custom_object(
            names.GROUP,
            names.VERSION,
            namespace,
            names.MODEL_DEPLOYMENT_PLURAL,
            _request_timeout=COMMAND_S,
        )
        return {
            one["metadata"]["name"]: ModelDeploymentStatus.model_validate(one.get("status") or {})
            for one in found["items"]
        }

    def _look(self, target: Target) -> tuple[Object, ModelDeploymentStatus]:
        found: Object = self._objects.get_namespaced_custom_object(
            names.GROUP,
            names.VERSION,
            target.namespace,
            names.MODEL_DEPLOYMENT_PLURAL,
            target.name,
            _request_timeout=COMMAND_S,
        )
        return found, ModelDeploymentStatus.model_validate(found.get("status") or {})

    def command(self, target: Target, verb: str, *, revision: str | None = None) -> None:
        """Give a command by the annotation; to the candidate if no revision is named."""
        named = revision or self.status(target).candidate
        value = f"{verb}@{named}#{time.monotonic_ns()}"
        self._objects.patch_namespaced_custom_object(
            names.GROUP,
            names.VERSION,
            target.namespace,
            names.MODEL_DEPLOYMENT_PLURAL,
            target.name,
            {"metadata": {"annotations": {names.ANNOTATION_COMMAND: value}}},
            _request_timeout=COMMAND_S,
        )

    def warnings(self, target: Target) -> list[tuple[str, str]]:
        """List reason and message of the Warning events about a ModelDeployment."""
        found = self.read("events", f"--namespace={target.namespace}")["items"]
        return [
            (event["reason"], event["message"])
            for event in found
            if event["type"] == "Warning" and event["involvedObject"]["name"] == target.name
        ]

    def until(
        self,
        target: Target,
        is_reached: Callable[[ModelDeploymentStatus], object],
        *,
        what: str,
        timeout_s: float = SOON_S,
    ) -> ModelDeploymentStatus:
        """Wait for a status that is about the current specification."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            found, status = self._look(target)
            is_current = status.observed_generation == found["metadata"]["generation"]
            if is_current and is_reached(status):
                return status
            seen = status.model_dump_json(exclude={"rollout"}, exclude_defaults=True)
            assert time.monotonic() < deadline_s, f"{target}: {what}; {timeout_s:.0f} s on: {seen}"
            time.sleep(POLL_S)

    def serves(self, target: Target, *, timeout_s: float = STARTED_S) -> ModelDeploymentStatus:
        """Wait until what was asked for serves."""
        return self.until(
            target,
            lambda status: condition(status, ConditionType.READY),
            what="does not serve",
            timeout_s=timeout_s,
        )

    def client(self, *command: str, namespace: str = "default") -> subprocess.CompletedProcess[str]:
        """Run a program as a client inside the cluster's network."""
        wrapped = self.ground.cluster.client_command(command, namespace=namespace)
        return self.run(*wrapped)

    def ask(
        self,
        host: str,
        *,
        namespace: str = "default",
        headers: Mapping[str, str] | None = None,
        body: str = QUESTION,
        model: str = IDENTITY,
    ) -> Answer:
        """Send one inference over REST; `host` as its user would write it."""
        extra = [word for pair in (headers or {}).items() for word in ("--header", ": ".join(pair))]
        done = self.client(
            *("curl", "--silent", "--show-error", "--max-time", "20", "--data", body, *extra),
            *("--write-out", f"\n{FACTS}"),
            f"http://{host}/v2/models/{model}/infer",
            namespace=namespace,
        )
        text, _, facts = done.stdout.rpartition("\n")
        status, revision, mark = (*facts.split(","), "", "")[:3]
        return Answer(status, revision, text or done.stderr, is_static=mark == "true")

    def ask_rpc(
        self,
        host: str,
        *,
        namespace: str = "default",
        authority: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one inference over gRPC."""
        done = self.client(
            *(sys.executable, str(GRPC_CLIENT), f"{host}:{names.SERVICE_PORT}", IDENTITY),
            *(authority, *map("=".join, (headers or {}).items())),
            namespace=namespace,
        )
        assert done.returncode == 0, done.stderr
        return Answer(**json.loads(done.stdout))

    @contextmanager
    def load(
        self,
        target: Target | str,
        *,
        samples: Path,
        ledger: Path,
        rate: float,
        more: Sequence[str] = (),
    ) -> Iterator[None]:
        """Run the load generator for the length of a block.

        `target` may be a host as a client writes it; `more` are further options of the generator.
        """
        host = target if isinstance(target, str) else target.host
        command = self.ground.client_command(
            [
                *(sys.executable, "-m", "bench.load", f"http://{host}", "--stop-on-eof"),
                *("--model", "tumour", "--samples", str(samples), "--ledger", str(ledger)),
                *("--rate", f"{rate:g}", "--seconds", f"{LOAD_S_MAX:g}", *more),
            ]
        )
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            env={**self.ground.environment(), "PYTHONPATH": ":".join(filter(None, sys.path))},
        )
        assert process.stdin is not None
        try:
            yield
            assert process.poll() is None, "the load generator ended early"
        finally:
            process.stdin.close()
            try:
                process.wait(COMMAND_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def install(scene: Scene, changes: Mapping[str, Any] | None = None) -> None:
    """Run `helm upgrade --install` and wait until operator and routers are ready.

    `changes` are laid over the values that make it run this checkout.
    """
    done = scene.run(
        *(
            "helm",
            "upgrade",
            "--install",
            "slipway",
            str(CHART),
            "--wait",
            "--timeout=100s",
        ),
        *(f"--namespace={SYSTEM_NAMESPACE}", "--values", "-"),
        text=json.dumps(merged(scene.ground.values, changes or {})),
    )
    assert done.returncode == 0, done.stderr


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Lay values over others as Helm does."""
    both = {
        name: merged(values[name], changes[name])
        for name in values.keys() & changes.keys()
        if isinstance(changes[name], Mapping)
    }
    return {**values, **changes, **both}
