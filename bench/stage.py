"""The steps that a run on a real cluster is made of: install, apply, load, wait, dump.

The demo plays them in one order and the end-to-end tests in others. A step does what it is asked
and raises `StageError` if it cannot; what should come of it is decided by its caller. Any cluster
will do that has what `Cluster` asks for.
"""

import contextlib
import json
import queue
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from kubernetes import client, config

from bench import account, ledger, watching
from slipway_api import names

HELM_TIMEOUT_S: Final = 300
COMMAND_TIMEOUT_S: Final = 60
LOAD_STOP_S: Final = 40.0  # the load waits for open requests as long as a client would
TURN_S: Final = 0.25
STANDING_CODES: Final = (0, 2, 3, 4)  # of `kubectl slipway status`; 1 is an error
TRAFFIC_EVERY_S: Final = 5.0
SYSTEM_NAMESPACE: Final = "slipway-system"
DEMO_LABEL: Final = "slipway.dev/demo"  # on what a run made and may remove


class StageError(Exception):
    """A step could not be done; the message says which, and what the program said."""


class Cluster(Protocol):
    """A cluster that a run can use.

    `environment` has PATH and KUBECONFIG so that kubectl and helm work. `start_load` begins the
    load generator inside the cluster's network with cluster DNS; it stops when its standard input
    is closed.
    """

    @property
    def kubeconfig(self) -> Path: ...

    def environment(self) -> Mapping[str, str]: ...

    def start_load(
        self, arguments: Sequence[str], *, samples: Path, ledger: Path
    ) -> "subprocess.Popen[bytes]": ...


@dataclass(frozen=True, slots=True)
class Target:
    """A ModelDeployment by its place."""

    namespace: str
    name: str

    @property
    def host(self) -> str:
        return f"{self.name}.{self.namespace}"


def api_client(kubeconfig: Path) -> client.ApiClient:
    """Make a client of the cluster that a kubeconfig names."""
    new_client: Any = config.new_client_from_config  # untyped
    made: client.ApiClient = new_client(config_file=str(kubeconfig))
    return made


class Stage:
    """One cluster, one deployment, one ledger."""

    def __init__(
        self, cluster: Cluster, target: Target, *, writer: ledger.Writer, ledger_path: Path
    ) -> None:
        self.target = target
        self.api_client = api_client(cluster.kubeconfig)
        self._cluster = cluster
        self._writer = writer
        self._ledger_path = ledger_path
        self._watcher = watching.Watcher(
            self.api_client, namespace=target.namespace, name=target.name
        )
        self.latest: watching.Seen | None = None
        self.warning_count = 0

    def run(self, *command: str, text: str | None = None, accepted: Collection[int] = (0,)) -> str:
        """Run a program of the cluster's environment and return its output."""
        try:
            done = subprocess.run(
                command,
                input=text,
                capture_output=True,
                text=True,
                timeout=HELM_TIMEOUT_S + COMMAND_TIMEOUT_S,
                env=dict(self._cluster.environment()),
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StageError(f"{' '.join(command)}: {error}") from error
        if done.returncode not in accepted:
            said = (done.stderr or done.stdout).strip()
            raise StageError(f"{' '.join(command)} ended with {done.returncode}: {said}")
        return done.stdout

    def install(self, chart: Path, values: Mapping[str, Any]) -> None:
        """Install Slipway from its chart, or bring it up to date, and wait until it is ready."""
        self.run(
            *("helm", "upgrade", "--install", "slipway", str(chart)),
            *("--namespace", SYSTEM_NAMESPACE, "--create-namespace"),
            *("--wait", f"--timeout={HELM_TIMEOUT_S}s", "--values", "-"),
            text=json.dumps(values),
        )

    def make_namespace(self) -> None:
        """Make the deployment's namespace, with the restricted Pod Security Standard enforced."""
        label = "pod-security.kubernetes.io/enforce"
        namespace = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": self.target.namespace,
                "labels": {label: "restricted", DEMO_LABEL: "true"},
            },
        }
        self.run("kubectl", "apply", "-f", "-", text=json.dumps(namespace))

    def remove(self) -> None:
        """Remove the deployment and wait until it is gone; absence is no error."""
        self.run(
            *("kubectl", "delete", "md", self.target.name, "-n", self.target.namespace),
            *("--ignore-not-found", f"--timeout={COMMAND_TIMEOUT_S}s"),
        )

    def watch(self) -> None:
        """Begin to watch the deployment's status and Events."""
        self._watcher.start()

    def apply(self, manifest: Mapping[str, Any]) -> int:
        """Apply a ModelDeployment as a user would; return the generation it has now."""
        text = self.run("kubectl", "apply", "-f", "-", "-o", "json", text=json.dumps(manifest))
        return int(json.loads(text)["metadata"]["generation"])

    def wait(
        self,
        is_reached: Callable[[watching.Seen], bool],
        *,
        what: str,
        timeout_s: float,
        teller: "Teller",
    ) -> watching.Seen:
        """Tell what happens until the deployment is as wanted; StageError after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while self.latest is None or not is_reached(self.latest):
            if time.monotonic() > deadline:
                standing = account.standing(self.latest.status) if self.latest else "never seen"
                raise StageError(f"{what} not after {timeout_s:.0f} s; the deployment: {standing}")
            self.turn(teller)
        return self.latest

    def rest(self, seconds: float, *, teller: "Teller") -> None:
        """Let the load run on for a while, telling what happens."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.turn(teller)

    def turn(self, teller: "Teller") -> None:
        """Take one piece of news, if any comes soon, into the ledger and the account."""
        teller.look()
        try:
            news = self._watcher.news.get(timeout=TURN_S)
        except queue.Empty:
            return
        if isinstance(news, account.KubeEvent):
            self.warning_count += news.is_warning
            teller.account.event(news)
            return
        self.latest = news
        self._writer.write(observation(news))
        teller.account.status(news.at, news.status)

    @contextlib.contextmanager
    def load(self, *, samples: Path, model: str, rate: float, seconds: float) -> Iterator[None]:
        """Run the load generator as a client inside the cluster's network."""
        arguments = (
            *(f"http://{self.target.host}", "--model", model),
            *("--rate", f"{rate:g}", "--seconds", f"{seconds:g}", "--stop-on-eof"),
        )
        process = self._cluster.start_load(arguments, samples=samples, ledger=self._ledger_path)
        try:
            yield
            if process.poll() is not None:
                raise StageError(f"the load generator ended early with {process.returncode}")
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(LOAD_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def screen(self) -> str:
        """Show the deployment as a person sees it; the plugin's code tells where it stands."""
        target = (self.target.name, "--namespace", self.target.namespace)
        return self.run("kubectl", "slipway", "status", *target, accepted=STANDING_CODES)

    def close(self) -> None:
        self._watcher.close()

    def dump(self, folder: Path) -> None:
        """Write what a person would look at after a failure; what cannot be had is left out."""
        folder.mkdir(parents=True, exist_ok=True)
        space = ("-n", self.target.namespace)
        system = ("-n", SYSTEM_NAMESPACE)
        looks = {
            "modeldeployment.yaml": ("get", "md", self.target.name, *space, "-o", "yaml"),
            "describe.txt": ("describe", "md", self.target.name, *space),
            "pods.txt": ("get", "pods", "-A", "-o", "wide"),
            "describe-pods.txt": ("describe", "pods", *space),
            "events.txt": ("get", "events", "-A", "--sort-by=.lastTimestamp"),
            "endpointslices.yaml": ("get", "endpointslices", *space, "-o", "yaml"),
            "models.log": (
                *("logs", *space, "--tail=200", "--prefix", "--all-containers"),
                f"-l={names.LABEL_DEPLOYMENT}={self.target.name}",
            ),
            "operator.log": (
                *("logs", *system, "--tail=-1", "--prefix", "--all-containers"),
                "-l=app.kubernetes.io/component=operator",
            ),
            "routers.log": (
                *("logs", *system, "--tail=-1", "--prefix", "--all-containers"),
                "-l=app.kubernetes.io/component=router",
            ),
        }
        for file, look in looks.items():
            try:
                (folder / file).write_text(self.run("kubectl", *look))
            except StageError as error:
                (folder / file).write_text(f"{error}\n")


class Teller:
    """Tells from the growing ledger how the clients fare."""

    def __init__(self, subject: account.Account, ledger_path: Path) -> None:
        self.account = subject
        self._tail = ledger.Tail(ledger_path)
        self._next_s = time.monotonic() + TRAFFIC_EVERY_S

    def look(self) -> None:
        """Read on in the ledger; every few seconds say what it holds."""
        for line in self._tail.lines():
            if isinstance(line, ledger.Request):
                self.account.request(line)
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + TRAFFIC_EVERY_S
            self.account.traffic(time.time())


def observation(seen: watching.Seen) -> ledger.Observation:
    """Write a status down as the report needs it."""
    status = seen.status
    return ledger.Observation(
        at=seen.at,
        phase=status.phase,
        stable=status.stable,
        candidate=status.candidate,
        weight_asked=status.weight.asked,
        weight_verified=status.weight.verified,
        reason=status.waiting.reason if status.waiting else None,
        message=status.waiting.message if status.waiting else None,
    )
