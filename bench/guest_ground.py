"""The ground of a run on a cluster that is there already: chosen by a context, used as a guest.

Nothing of the sandbox is needed, and nothing of the cluster that the run did not make is changed. A
pod does what a machine at the cluster's network does in the sandbox: it serves the models and sends
the load to the client-facing name. It runs the operator's image, which has the clients for HTTP and
gRPC; the sources come in a ConfigMap.
"""

import base64
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from bench import changes
from bench.models import TUMOUR
from bench.stage import DEMO_LABEL, SYSTEM_NAMESPACE, StageError
from sandbox import plugin_archive
from sandbox.progress import Log

Object = dict[str, Any]

NAME: Final = "slipway-bench"
RELEASE: Final = "slipway"
COMMAND_TIMEOUT_S: Final = 180
READY_TIMEOUT_S: Final = 120
FILES_PORT: Final = 8080
CODE: Final = "/bench/code"
MODELS: Final = "/bench/models"
USER: Final = 65532
# What the load generator is made of; the rest is in the operator's image.
MODULES: Final = ("__init__", "clients", "ledger", "load", "samples")
MESSAGES: Final = ("service_pb2", "model_config_pb2")
PIPE_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class GuestGround:
    """A cluster of somebody; `kubeconfig` holds the one context, `models` is served to pods."""

    kubeconfig: Path
    values: Mapping[str, Any]
    models: Path

    def has_slipway(self) -> bool:
        """Whether Slipway is there already: then it is used as it is."""
        asked = self._start("helm", "status", RELEASE, f"--namespace={SYSTEM_NAMESPACE}")
        return asked.returncode == 0

    def environment(self) -> Mapping[str, str]:
        """Take the user's own kubectl and helm; our plugin and a helm come last."""
        own = (plugin_archive.ensure(), Path(sys.prefix) / "bin")
        path = os.pathsep.join((os.environ["PATH"], *map(str, own)))
        return {**os.environ, "PATH": path, "KUBECONFIG": str(self.kubeconfig)}

    @contextlib.contextmanager
    def serving(self, folder: Path) -> Iterator[str]:
        """Serve the files of `folder` from a pod, which also sends the load; its base URL."""
        files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.*")}
        wanted = {name: path for name, path in files.items() if name.startswith(f"{TUMOUR}/")}
        self._remove()
        for document in (
            config_map(f"{NAME}-models", {n: p.read_bytes() for n, p in wanted.items()}),
            config_map(f"{NAME}-code", sources()),
            pod(self._operator(), models=sorted(wanted), code=sorted(sources())),
        ):
            apply = ("kubectl", "apply", "--server-side", "--force-conflicts", "--filename=-")
            self.run(*apply, text=json.dumps(document))
        try:
            self.run(
                *("kubectl", "wait", f"pod/{NAME}", f"--namespace={SYSTEM_NAMESPACE}"),
                *("--for=condition=Ready", f"--timeout={READY_TIMEOUT_S}s"),
            )
            address = json.loads(self._get("pod", NAME))["status"]["podIP"]
            host = f"[{address}]" if ":" in address else address
            yield f"http://{host}:{FILES_PORT}"
        finally:
            self._remove()

    def start_load(
        self, arguments: Sequence[str], *, samples: Path, ledger: Path
    ) -> "subprocess.Popen[bytes]":
        """Begin to send load from the pod; its part of the ledger comes back line by line."""
        file = f"{MODELS}/{samples.relative_to(self.models).as_posix()}"
        process = subprocess.Popen(
            [
                *("kubectl", "exec", "--stdin", NAME, f"--namespace={SYSTEM_NAMESPACE}", "--"),
                *("python", "-m", "bench.load", *arguments, "--samples", file, "--ledger", "-"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(self.environment()),
        )
        assert process.stdout is not None
        threading.Thread(target=relay, args=(process.stdout, ledger), daemon=True).start()
        return process

    def run(self, *command: str, text: str | None = None) -> str:
        """Run a program to its end; StageError if it fails."""
        done = self._start(*command, text=text)
        if done.returncode != 0:
            raise StageError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def _start(self, *command: str, text: str | None = None) -> "subprocess.CompletedProcess[str]":
        try:
            return subprocess.run(
                command,
                input=text,
                capture_output=True,
                text=True,
                check=False,
                timeout=COMMAND_TIMEOUT_S,
                env=dict(self.environment()),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StageError(f"{' '.join(command)}: {error}") from error

    def _get(self, kind: str, name: str) -> str:
        space = f"--namespace={SYSTEM_NAMESPACE}"
        return self.run("kubectl", "get", kind, name, space, "--output=json")

    def _operator(self) -> Object:
        """Read how the operator's pods get their image."""
        deployment = json.loads(self._get("deployment", "slipway-operator"))
        found: Object = deployment["spec"]["template"]["spec"]
        return found

    def _remove(self) -> None:
        self.run(
            *("kubectl", "delete", f"pod/{NAME}", f"configmap/{NAME}-models"),
            *(f"configmap/{NAME}-code", f"--namespace={SYSTEM_NAMESPACE}"),
            *("--ignore-not-found", "--grace-period=1"),
        )


@contextlib.contextmanager
def entered(
    context: str, values: Mapping[str, Any], *, models: Path, keep: bool, log: Log
) -> Iterator[GuestGround]:
    """Use the cluster of a context; what the run installed goes afterwards, unless `keep`."""
    with tempfile.TemporaryDirectory(prefix="slipway-demo-") as folder:
        kubeconfig = Path(folder) / "kubeconfig"
        view = ("kubectl", "config", "view", "--minify", "--flatten", "--raw")
        text = _outer(view, context)
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(text, encoding="utf-8")
        ground = GuestGround(kubeconfig, values, models)
        was_installed, had_namespace = ground.has_slipway(), _has_namespace(ground)
        try:
            yield ground
        finally:
            if keep:
                log(f"Slipway and namespace {changes.NAMESPACE!r} stay in {context!r}")
            else:
                try:
                    _leave(ground, is_ours=not was_installed, has_namespace=had_namespace)
                except StageError as error:  # what went wrong before is the better news
                    log(f"not everything could be taken away: {error}")


def _outer(view: Sequence[str], context: str) -> str:
    """Read the user's own kubeconfig, whichever kubectl takes."""
    try:
        done = subprocess.run(
            [*view, f"--context={context}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_TIMEOUT_S,
        )
    except OSError as error:
        raise StageError(f"cannot run kubectl: {error}; it has to be on PATH") from error
    if done.returncode != 0:
        raise StageError(f"there is no context {context!r}: {done.stderr.strip()}")
    return done.stdout


def _has_namespace(ground: GuestGround) -> bool:
    """Whether the demo's namespace is there; StageError if it is somebody else's."""
    found = ground.run(
        *("kubectl", "get", "namespace", changes.NAMESPACE),
        *("--ignore-not-found", "--output=json"),
    )
    if not found.strip():
        return False
    if DEMO_LABEL not in (json.loads(found)["metadata"].get("labels") or {}):
        raise StageError(
            f"namespace {changes.NAMESPACE!r} is there and not of a demo: the demo would change it."
            f" If it may, kubectl label namespace {changes.NAMESPACE} {DEMO_LABEL}=true"
        )
    return True


def _leave(ground: GuestGround, *, is_ours: bool, has_namespace: bool) -> None:
    """Take away what the run brought; the definitions stay, as Helm leaves them."""
    space = f"--namespace={changes.NAMESPACE}"
    ground.run(
        *("kubectl", "delete", "md", changes.NAME, space),
        *("--ignore-not-found", "--timeout=60s"),
    )
    if not has_namespace:
        ground.run("kubectl", "delete", "namespace", changes.NAMESPACE, "--ignore-not-found")
    if is_ours and ground.has_slipway():
        ground.run("helm", "uninstall", RELEASE, f"--namespace={SYSTEM_NAMESPACE}", "--wait")


def relay(source: IO[bytes], ledger: Path) -> None:
    """Append whole lines of a stream to a ledger that others append to as well."""
    descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    gathered = b""
    try:
        while chunk := source.read1(PIPE_BYTES):  # type: ignore[attr-defined] # a BufferedReader
            lines, newline, gathered = (gathered + chunk).rpartition(b"\n")
            os.write(descriptor, lines + newline)
    finally:
        os.close(descriptor)


def sources() -> dict[str, bytes]:
    """Gather the sources of the load generator, by their paths below one folder.

    Of tritonclient the generated messages alone: its package imports much that the image lacks.
    """
    found = {
        f"bench/{name}.py": (Path(__file__).parent / f"{name}.py").read_bytes() for name in MODULES
    }
    package = importlib.util.find_spec("tritonclient")
    assert package is not None
    assert package.submodule_search_locations is not None
    messages = Path(next(iter(package.submodule_search_locations))) / "grpc"
    found |= {f"tritonclient/grpc/{m}.py": (messages / f"{m}.py").read_bytes() for m in MESSAGES}
    return found | {"tritonclient/__init__.py": b"", "tritonclient/grpc/__init__.py": b""}


def config_map(name: str, files: Mapping[str, bytes]) -> Object:
    """Make a ConfigMap of files; keys cannot hold slashes."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": SYSTEM_NAMESPACE, "labels": {DEMO_LABEL: "true"}},
        "binaryData": {key(path): base64.b64encode(data).decode() for path, data in files.items()},
    }


def key(path: str) -> str:
    """Name a file in a ConfigMap.

    >>> key("tumour/1.0.0.onnx")
    'tumour..1.0.0.onnx'
    """
    return path.replace("/", "..")


def pod(operator: Mapping[str, Any], *, models: Sequence[str], code: Sequence[str]) -> Object:
    """Make the pod, for namespaces that take restricted pods only."""
    container: Object = {
        "name": "bench",
        "image": operator["containers"][0]["image"],
        "imagePullPolicy": operator["containers"][0].get("imagePullPolicy", "IfNotPresent"),
        "command": ["python", "-m", "http.server", str(FILES_PORT), "--directory", MODELS],
        "env": [{"name": "PYTHONPATH", "value": CODE}],
        "resources": {"requests": {"cpu": "200m", "memory": "96Mi"}},
        "readinessProbe": {"tcpSocket": {"port": FILES_PORT}, "periodSeconds": 1},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [
            {"name": "models", "mountPath": MODELS},
            {"name": "code", "mountPath": CODE},
        ],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "namespace": SYSTEM_NAMESPACE, "labels": {DEMO_LABEL: "true"}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "imagePullSecrets": operator.get("imagePullSecrets", []),
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": [_volume("models", models), _volume("code", code)],
        },
    }


def _volume(name: str, paths: Sequence[str]) -> Object:
    items = [{"key": key(path), "path": path} for path in paths]
    return {"name": name, "configMap": {"name": f"{NAME}-{name}", "items": items}}
