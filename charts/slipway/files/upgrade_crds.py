"""Bring the cluster's CustomResourceDefinitions up to what lies in a folder, by server-side apply.

Runs in a pod before `helm upgrade`, with a service account that may patch exactly these
definitions. Standard library only. `python upgrade_crds.py FOLDER`; the file `NAME.yaml` holds the
definition called NAME.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

# As Helm 4 itself does: `helm install` would refuse to take fields from another manager.
FIELD_MANAGER: Final = "helm"
SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
REQUEST_TIMEOUT_S: Final = 15.0
ESTABLISHED_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.5


def main(folder: Path) -> int:
    """Apply every definition in `folder` and wait until each is served; 1 when one is not."""
    for file in sorted(folder.glob("*.yaml")):
        name = file.stem
        try:
            apply(name, file.read_bytes())
            wait_until_established(name)
        except urllib.error.HTTPError as err:
            print(f"{name}: {err} {err.read().decode(errors='replace')}", file=sys.stderr)
            return 1
        except (OSError, TimeoutError) as err:
            print(f"{name}: {err}", file=sys.stderr)
            return 1
        print(f"{name}: up to date")
    return 0


def apply(name: str, definition: bytes) -> None:
    """Apply one definition; conflicts are won, since the chart owns its definitions."""
    path = f"{DEFINITIONS}/{name}?fieldManager={FIELD_MANAGER}&force=true"
    call("PATCH", path, definition)


def wait_until_established(name: str) -> None:
    """Return once the API server serves the definition; TimeoutError says what it lacks."""
    deadline_s = time.monotonic() + ESTABLISHED_TIMEOUT_S
    while True:
        conditions = call("GET", f"{DEFINITIONS}/{name}").get("status", {}).get("conditions", [])
        states = {condition["type"]: condition["status"] for condition in conditions}
        if states.get("Established") == "True":
            return
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not established after {ESTABLISHED_TIMEOUT_S:.0f} s: {states}")
        time.sleep(POLL_S)


def call(method: str, path: str, body: bytes | None = None) -> Any:
    """Send one request to the API server that this pod belongs to."""
    host = os.environ["KUBERNETES_SERVICE_HOST"]
    if ":" in host:
        host = f"[{host}]"
    token = (SERVICE_ACCOUNT / "token").read_text(encoding="utf-8").strip()
    request = urllib.request.Request(
        f"https://{host}:{os.environ['KUBERNETES_SERVICE_PORT']}{path}",
        data=body,
        method=method,
        headers={
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/apply-patch+yaml",
        },
    )
    trust = ssl.create_default_context(cafile=str(SERVICE_ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S, context=trust) as answer:
        return json.load(answer)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
