"""Kubeconfig files: who calls which API server with which certificate."""

import base64
import json
from pathlib import Path

from sandbox.pki import Pair


def write(path: Path, *, server: str, authority: Path, client: Pair, name: str) -> None:
    """Write a kubeconfig with everything embedded, so that it may be copied elsewhere.

    It is JSON, which is YAML too. `name` is the context that kubectl shows.
    """
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {"server": server, "certificate-authority-data": _encoded(authority)},
            }
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": _encoded(client.certificate),
                    "client-key-data": _encoded(client.key),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
