"""A few questions to an API server, asked with the administrator's certificate.

For the cluster's own waiting; programs that do more use kubectl or the client library.
"""

import http.client
import json
import ssl
import subprocess
import urllib.parse
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from sandbox import pki
from sandbox.errors import SandboxError

_TIMEOUT_S: Final = 3.0
_APPLY_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Api:
    """The API server at `url`, with certificates from the folder of `pki.write`."""

    url: str
    certificates: Path

    def get(self, path: str) -> Any | None:
        """Return the JSON answer to a GET; None when it is not 200 or nobody answers."""
        status, body = self._get(path)
        return json.loads(body) if status == HTTPStatus.OK else None

    def is_ready(self) -> bool:
        """Return whether /readyz answers 200."""
        return self._get("/readyz")[0] == HTTPStatus.OK

    def nodes_ready(self) -> frozenset[str]:
        """Return the names of the nodes whose condition Ready is True."""
        nodes = (self.get("/api/v1/nodes") or {"items": []})["items"]
        return frozenset(node["metadata"]["name"] for node in nodes if _is_ready(node))

    def available(self, namespace: str, name: str) -> int:
        """Return how many pods of a Deployment are available."""
        found = self.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
        return int(found["status"].get("availableReplicas", 0)) if found else 0

    def _get(self, path: str) -> tuple[int, bytes]:
        server = urllib.parse.urlsplit(self.url)
        admin = pki.pair(self.certificates, "admin")
        context = ssl.create_default_context(cafile=str(self.certificates / "ca.crt"))
        context.load_cert_chain(admin.certificate, admin.key)
        connection = http.client.HTTPSConnection(
            server.hostname or "", server.port, timeout=_TIMEOUT_S, context=context
        )
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()


def apply(kubectl: Path, kubeconfig: Path, documents: list[dict[str, Any]]) -> None:
    """Apply objects by server-side apply, as field manager `sandbox`."""
    listed = {"apiVersion": "v1", "kind": "List", "items": documents}
    done = subprocess.run(
        [
            kubectl,
            f"--kubeconfig={kubeconfig}",
            "apply",
            "--server-side",
            "--field-manager=sandbox",
            "--filename=-",
        ],
        input=json.dumps(listed),
        capture_output=True,
        text=True,
        check=False,
        timeout=_APPLY_TIMEOUT_S,
    )
    if done.returncode != 0:
        raise SandboxError(f"kubectl apply failed (exit {done.returncode}): {done.stderr.strip()}")


def _is_ready(node: dict[str, Any]) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
