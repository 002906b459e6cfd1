"""A file server for model files: pods download them as they would from an object store.

It serves one folder read-only on one address, and says nothing of what is in it.
"""

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing: the account of the run is on this terminal."""

    def list_directory(self, path: object) -> None:  # noqa: ARG002 - the base's signature
        """Refuse: files are asked for by name."""
        self.send_error(404)


@contextlib.contextmanager
def serve(folder: Path, *, address: str) -> Iterator[str]:
    """Serve the files of `folder` at a free port of `address`; yields the base URL."""
    handler = functools.partial(_QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer((address, 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, name="model-files", daemon=True)
        thread.start()
        try:
            yield f"http://{address}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
