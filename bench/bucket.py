"""A bucket of models on this machine: pods load from it as they would from a store of yours.

The S3 server is a program of its own and keeps everything in its memory.
"""

import os
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import obstore
from obstore.store import S3Store

from bench.scene import Object, eventually
from sandbox import venvs
from sandbox.progress import silent

KEY: Final = "testing"
STARTED_S: Final = 60.0
COMMAND_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, and how to reach it."""

    name: str
    url: str

    def put(self, path: str, content: bytes) -> None:
        """Write an object."""
        store = S3Store(
            self.name,
            endpoint=self.url,
            access_key_id=KEY,
            secret_access_key=KEY,
            region="us-east-1",
            client_options={"allow_http": True},
        )
        obstore.put(store, path, content)

    @property
    def access(self) -> Mapping[str, str]:
        """What a model server has to know, as `credentialsSecret` gives it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": KEY,
        }

    def secret(self, name: str, *, namespace: str) -> Object:
        """Write the Secret that lets model servers of a namespace in."""
        metadata = {"name": name, "namespace": namespace}
        made: Object = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
        return made | {"stringData": dict(self.access)}


@contextmanager
def served(name: str, *, address: str, log: Path) -> Iterator[Bucket]:
    """Serve an empty bucket at a free port of `address`; what the server says goes to `log`."""
    home = venvs.ensure("s3server.txt", why="an S3 server for tests", log=silent)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [home / "bin" / "python", "-m", "moto.server", "-H", address, "-p", "0"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        url = eventually(
            lambda: _listening(log, address), what="the S3 server listens", timeout_s=STARTED_S
        )
        made = urllib.request.Request(f"{url}/{name}", method="PUT")
        urllib.request.urlopen(made, timeout=COMMAND_S).close()
        yield Bucket(name, url)
    finally:
        process.kill()
        process.wait()


def _listening(log: Path, address: str) -> str | None:
    start = f"http://{address}:"
    lines = [line for line in log.read_text().splitlines() if start in line]
    return start + lines[0].rsplit(":", 1)[1].split()[0].strip("/") if lines else None
