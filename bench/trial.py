"""One deployment under load, to which something happens, and what its clients saw of it.

Who has one applies, breaks something, waits, and asks `toll` for the figures. This module breaks
nothing and judges nothing.
"""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench import ledger, models, pods, stage, toll
from bench.scene import (
    POLL_S,
    STARTED_S,
    SYSTEM_NAMESPACE,
    Object,
    Scene,
    eventually,
    manifest,
)
from bench.stage import Target
from slipway_api import names
from slipway_api.conditions import Phase
from slipway_api.status import ModelDeploymentStatus, Rollout

# Versions of the model by how they behave (`bench.models`).
FIRST: Final = "1.0.0"
HEALTHY: Final = "1.1.0"
ERRORS: Final = "1.2.0"
CRASH: Final = "1.3.0"
HANG: Final = "1.4.0"
REFUSES: Final = "1.5.0"
SLOW: Final = "1.6.0"
HALF: Final = "1.7.0"

RATE: Final = 40.0  # requests per second, half REST, half gRPC, if nobody asks for another
LEDGER_FILE: Final = "ledger.jsonl"
OPERATOR: Final = "app.kubernetes.io/component=operator"
ROUTER: Final = "app.kubernetes.io/component=router"
RESOURCES: Final = {"requests": {"cpu": "150m", "memory": "192Mi"}}
CALM_S: Final = 3.0  # of answers that come soon, before anything is broken
SOON_S: Final = 1.0
CALM_WAIT_S: Final = 120.0
QUIET_S: Final = 2.0  # the logs of pods arrive a little later
QUIET_WAIT_S: Final = 20.0
# What clients do who want to notice a connection whose other end fell silent.
WATCHFUL: Final = ("--answer-timeout", "10", "--keepalive", "2")


@dataclass(frozen=True, slots=True)
class Models:
    """The models that were trained, and the address that pods load them from."""

    catalogue: models.Catalogue
    base_url: str


class Trial:
    """One deployment, one ledger."""

    def __init__(self, scene: Scene, source: Models, *, target: Target, folder: Path) -> None:
        self.scene = scene
        self.target = target
        self.folder = folder
        self.rate = RATE
        self.figures: dict[str, Any] = {}
        self._models = source
        self.ledger = folder / LEDGER_FILE

    # What a user does.

    def wanted(
        self,
        version: str,
        *,
        replicas: int = 2,
        steps: Sequence[Object] = ({"weight": 50, "hold": "5s"},),
        env: Sequence[Object] = (),
        **more: Any,
    ) -> Object:
        """Write the deployment with a version of the model; `more` are sections of the spec."""
        release = self._models.catalogue.release(models.TUMOUR, version)
        return manifest(
            self.target,
            model={
                "name": release.model,
                "version": version,
                "uri": f"{self._models.base_url}/{release.file}",
                "digest": release.digest,
            },
            runtime={"env": [{"name": "SLIPWAY_SERVER_ACCESS_LOG", "value": "json"}, *env]},
            compute={"replicas": replicas, "resources": RESOURCES} | more.pop("compute", {}),
            steps=list(steps),
            **more,
        )

    def serve(self, version: str = FIRST, **how: Any) -> ModelDeploymentStatus:
        """Apply the first version and wait until it serves."""
        self.scene.apply(self.wanted(version, **how))
        return self.scene.serves(self.target)

    def change(self, version: str, **how: Any) -> None:
        """Apply another version; how it goes on is for `at_weight` and `ended` to see."""
        self.scene.apply(self.wanted(version, **how))

    # What is waited for.

    def at_weight(self, weight: int, *, timeout_s: float = STARTED_S) -> ModelDeploymentStatus:
        """Wait until every router was seen to give the candidate this weight."""
        return self.scene.until(
            self.target,
            lambda status: (
                status.candidate is not None
                and status.weight.asked == weight
                and status.weight.verified == weight
            ),
            what=f"the candidate has {weight} %",
            timeout_s=timeout_s,
        )

    def ended(self, *, timeout_s: float = STARTED_S) -> tuple[ModelDeploymentStatus, Rollout]:
        """Wait until the rollout of the current specification is over, however it ended."""
        status = self.scene.until(
            self.target,
            lambda status: (
                status.rollout is None
                and status.history
                and status.phase in (Phase.SERVING, Phase.ROLLED_BACK, Phase.FAILED)
            ),
            what="the rollout is over",
            timeout_s=timeout_s,
        )
        return status, status.history[0]

    def held_at(self, weight: int, version: str = HEALTHY, **how: Any) -> str:
        """Let a candidate get a weight that it keeps for as long as the test lasts; its name."""
        self.change(version, steps=[{"weight": weight, "hold": "2h"}], **how)
        candidate = self.at_weight(weight).candidate
        assert candidate is not None
        self.await_calm()
        return candidate

    def await_calm(self) -> None:
        """Let the load run on until answers come soon: starting pods takes a small machine's all.

        It gives up after a while: what goes wrong from then on is counted.
        """
        deadline_s = time.monotonic() + CALM_WAIT_S
        last_bad = latest = time.time()
        while latest < last_bad + CALM_S and time.monotonic() < deadline_s:
            for line in _requests(self._tail):
                latest = max(latest, line.sent)
                if line.received is None or line.received - line.sent > SOON_S:
                    last_bad = max(last_bad, line.sent)
            time.sleep(POLL_S)

    def goes_on(self, candidate: str) -> bool:
        """Tell whether a candidate was neither taken back nor promoted."""
        status = self.status()
        return (status.candidate, status.phase) == (candidate, Phase.ROLLING_OUT)

    def pods(self, revision: str | None) -> list[Object]:
        """List the pods of a revision that are not on their way out."""
        return [
            pod
            for pod in self.scene.pods(self.target)
            if pod["metadata"]["labels"][names.LABEL_REVISION] == revision
            and not pod["metadata"].get("deletionTimestamp")
        ]

    def ready_count(self, revision: str | None) -> int:
        """Count the pods of a revision that are ready."""
        return sum(
            each["status"] == "True"
            for pod in self.pods(revision)
            for each in pod["status"].get("conditions") or ()
            if each["type"] == "Ready"
        )

    def published(self) -> list[str]:
        """List the router addresses that clients are sent to."""
        found = self.scene.read(
            "endpointslice", self.target.name, f"--namespace={self.target.namespace}"
        )
        return [a for endpoint in found["endpoints"] for a in endpoint["addresses"]]

    def status(self) -> ModelDeploymentStatus:
        """Read the status."""
        return self.scene.status(self.target)

    def pass_time(self, seconds: float) -> None:
        """Let the load run on: until requests are in the ledger that were sent so much later."""
        until = time.time() + seconds
        eventually(
            lambda: any(line.sent >= until for line in list(_requests(self._tail))),
            what=f"{seconds:.0f} s more of load",
            timeout_s=seconds + STARTED_S,
        )

    # Load, and what came of it.

    @contextmanager
    def load(
        self, *, rate: float | None = None, host: str | None = None, more: Sequence[str] = ()
    ) -> Iterator[None]:
        """Send requests, and follow the pods' logs, for the length of a block.

        The ledger is whole when the block has ended. `host` is the deployment's name if None.
        """
        self._tail = ledger.Tail(self.ledger)
        samples = self._models.catalogue.samples(models.TUMOUR)
        with ledger.Writer(self.ledger) as writer:
            follower = pods.Follower(
                stage.api_client(self.scene.ground.kubeconfig),
                writer,
                namespace=self.target.namespace,
                name=self.target.name,
            )
            follower.start()
            try:
                with self.scene.load(
                    host or self.target.host,
                    samples=samples,
                    ledger=self.ledger,
                    rate=rate or self.rate,
                    more=more,
                ):
                    self.pass_time(1.0)
                    yield
                pods.wait_until_quiet(self._tail, quiet_s=QUIET_S, timeout_s=QUIET_WAIT_S)
            finally:
                follower.close()

    def lines(self) -> list[ledger.Line]:
        """Read the whole ledger."""
        return ledger.read(self.ledger)

    def requests(self) -> list[ledger.Request]:
        """Read the clients' requests from the ledger."""
        return [line for line in self.lines() if isinstance(line, ledger.Request)]

    def toll(
        self,
        *,
        fault_at: float | None = None,
        dead: Sequence[str] = (),
        candidate: str | None = None,
    ) -> toll.Toll:
        """Count what clients saw, and remember it as this test's figures."""
        found = toll.take(self.lines(), fault_at=fault_at, dead=dead, candidate=candidate)
        self.note(**asdict(found))
        return found

    def note(self, **figures: Any) -> None:
        """Remember figures for the table of faults."""
        self.figures |= figures

    def write_figures(self, file: Path, *, test: str) -> None:
        """Append the figures as one line of JSON."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self.note(load_average=round(os.getloadavg()[0], 1))
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps({"test": test, "at": at, **self.figures}) + "\n")

    # The cluster.

    def system_pods(self, selector: str) -> list[Object]:
        """List the pods of operator or routers that are not on their way out."""
        listing = self.scene.read("pods", f"--namespace={SYSTEM_NAMESPACE}", f"-l={selector}")
        return [pod for pod in listing["items"] if not pod["metadata"].get("deletionTimestamp")]

    def leader(self) -> Object:
        """Find the operator's pod that holds the Lease."""
        system = f"--namespace={SYSTEM_NAMESPACE}"
        holder = self.scene.read("lease", names.LEASE, system)["spec"]["holderIdentity"]
        return next(
            pod for pod in self.system_pods(OPERATOR) if holder.startswith(pod["metadata"]["name"])
        )

    def await_whole(self) -> None:
        """Wait until nodes, operator and routers are as they should be.

        Kubernetes does not spread again what a drain has crowded on one node.
        """
        self.scene.kubectl("wait", "node", "--all", "--for=condition=Ready", "--timeout=100s")
        for name, selector in (("slipway-operator", OPERATOR), ("slipway-router", ROUTER)):
            self._await_rollout(name)
            found = self.system_pods(selector)
            if len({pod["spec"]["nodeName"] for pod in found}) < len(found):
                system = f"--namespace={SYSTEM_NAMESPACE}"
                self.scene.kubectl("delete", "pod", names_of(found)[0], system)
                self._await_rollout(name)

    def _await_rollout(self, name: str) -> None:
        self.scene.kubectl(
            *("rollout", "status", f"deployment/{name}", "--timeout=100s"),
            f"--namespace={SYSTEM_NAMESPACE}",
        )

    def dump(self) -> None:
        """Write what a person would look at after a failure."""
        space = f"--namespace={self.target.namespace}"
        system = f"--namespace={SYSTEM_NAMESPACE}"
        looks = {
            "deployment.yaml": ("get", "md", self.target.name, space, "--output=yaml"),
            "pods.txt": ("get", "pods", "--all-namespaces", "--output=wide"),
            "events.txt": ("get", "events", space, "--sort-by=.lastTimestamp"),
            "slice.yaml": ("get", "endpointslice", self.target.name, space, "--output=yaml"),
            "operator.log": ("logs", system, f"-l={OPERATOR}", "--tail=-1", "--prefix"),
            "routers.log": ("logs", system, f"-l={ROUTER}", "--tail=-1", "--prefix"),
        }
        for file, look in looks.items():
            done = self.scene.run("kubectl", *look)
            (self.folder / file).write_text(done.stdout + done.stderr, encoding="utf-8")


def _requests(tail: ledger.Tail) -> Iterator[ledger.Request]:
    return (line for line in tail.lines() if isinstance(line, ledger.Request))


def names_of(found: Sequence[Object]) -> list[str]:
    """Name objects."""
    return [item["metadata"]["name"] for item in found]
