"""`python -m slipway_server.smoke URL`: one inference against a served `identity` model.

For `helm test`: waits until the endpoint is ready and answers one request, checks the answer.
A request that gets lost is sent again: run twice in a row, the test's Service has a new address
that not every DNS replica gives out yet. An answer that is wrong is not asked for again.
Standard library only, so that it starts at once and proves nothing but the endpoint.
"""

import argparse
import json
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Final

MODEL: Final = "identity"
VALUES: Final = (1.0, -2.5, 3.25)
_QUESTION: Final[Mapping[str, Any]] = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, len(VALUES)], "data": list(VALUES)}]
}
_PAUSE_S: Final = 1.0
_REQUEST_TIMEOUT_S: Final = 5.0


def main(arguments: list[str]) -> int:
    """Print one line; 0 when the answer was right."""
    parser = argparse.ArgumentParser(prog="python -m slipway_server.smoke", description=__doc__)
    parser.add_argument("url", help="where the protocol is served, as http://identity.demo")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds until ready")
    options = parser.parse_args(arguments)
    url = options.url.rstrip("/")
    deadline = time.monotonic() + options.timeout
    try:
        _patiently(lambda: _call(f"{url}/v2/models/{MODEL}/ready", None), deadline)
    except (OSError, ValueError) as err:
        print(f"{url} was not ready within {options.timeout:g} s: {err}")
        return 1
    try:
        answer = _patiently(lambda: _call(f"{url}/v2/models/{MODEL}/infer", _QUESTION), deadline)
    except (OSError, ValueError) as err:
        print(f"{url} answered no inference within {options.timeout:g} s: {err}")
        return 1
    problem = _problem_of(answer)
    print(f"{url}: {problem}" if problem else f"{url}: model {MODEL} answered as expected")
    return 1 if problem else 0


def _patiently(ask: Callable[[], Any], deadline: float) -> Any:
    """Return what `ask` returns; its last error when there is no answer until the deadline."""
    while True:
        try:
            return ask()
        except (OSError, ValueError):
            if time.monotonic() + _PAUSE_S >= deadline:
                raise
        time.sleep(_PAUSE_S)


def _problem_of(answer: Any) -> str | None:
    """None when the model returned what it was sent; else what came instead."""
    try:
        outputs = {output["name"]: output["data"] for output in answer["outputs"]}
    except (KeyError, TypeError):
        return f"expected outputs, got {answer}"
    if outputs.get("y") != list(VALUES):
        return f"expected y = {list(VALUES)}, got {outputs}"
    return None


def _call(url: str, fields: Mapping[str, Any] | None) -> Any:
    body = None if fields is None else json.dumps(fields).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=_REQUEST_TIMEOUT_S) as answer:
        return json.load(answer)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
