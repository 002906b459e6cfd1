"""`python -m slipway_server.smoke URL`: one inference against a served `identity` model.

For `helm test`: waits until the endpoint is ready, sends one request, checks the answer.
Standard library only, so that it starts at once and proves nothing but the endpoint.
"""

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from typing import Any, Final

MODEL: Final = "identity"
VALUES: Final = (1.0, -2.5, 3.25)
_PAUSE_S: Final = 1.0
_REQUEST_TIMEOUT_S: Final = 5.0


def main(arguments: list[str]) -> int:
    """Print one line; 0 when the answer was right."""
    parser = argparse.ArgumentParser(prog="python -m slipway_server.smoke", description=__doc__)
    parser.add_argument("url", help="where the protocol is served, as http://identity.demo")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds until ready")
    options = parser.parse_args(arguments)
    url = options.url.rstrip("/")
    problem = wait_until_ready(url, timeout_s=options.timeout) or infer_once(url)
    print(problem or f"{url}: model {MODEL} answered as expected")
    return 1 if problem else 0


def wait_until_ready(url: str, *, timeout_s: float) -> str | None:
    """None once ready; else what the last try met."""
    deadline = time.monotonic() + timeout_s
    while True:
        problem = _problem_of(f"{url}/v2/models/{MODEL}/ready")
        if problem is None:
            return None
        if time.monotonic() + _PAUSE_S >= deadline:
            return f"{url} was not ready within {timeout_s:g} s: {problem}"
        time.sleep(_PAUSE_S)


def infer_once(url: str) -> str | None:
    """None when the model returns what it was sent; else what came instead."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, len(VALUES)], "data": list(VALUES)}
    try:
        answer = _call(f"{url}/v2/models/{MODEL}/infer", {"inputs": [tensor]})
        outputs = {output["name"]: output["data"] for output in answer["outputs"]}
    except (OSError, ValueError, KeyError, TypeError) as err:
        return f"{url}: the inference failed: {err}"
    if outputs.get("y") != list(VALUES):
        return f"{url}: expected y = {list(VALUES)}, got {outputs}"
    return None


def _problem_of(url: str) -> str | None:
    try:
        _call(url, None)
    except (OSError, ValueError) as err:
        return str(err)
    return None


def _call(url: str, fields: dict[str, Any] | None) -> Any:
    body = None if fields is None else json.dumps(fields).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=_REQUEST_TIMEOUT_S) as answer:
        return json.load(answer)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
