"""`python -m slipway_server`: settings from the environment, serve, an exit code that tells why."""

import os
import sys
import warnings
from pathlib import Path
from typing import Final

import uvloop

from slipway_api import names
from slipway_server import settings, termination
from slipway_server.core.errors import LoadError

SILENCE: Final = "ORT_DISABLE_TELEMETRY"


def main() -> int:
    """Serve until SIGTERM; 0, or 78 and 75 when the model cannot be served."""
    # ONNX Runtime looks at it when it is loaded, and reports to its makers without it.
    os.environ.setdefault(SILENCE, "1")
    from slipway_server import build

    # A client may send what FP32 cannot hold. numpy's `errstate` would cost each request 10 µs.
    warnings.filterwarnings("ignore", message="overflow encountered in cast")
    log = Path(os.environ.get("SLIPWAY_SERVER_TERMINATION_LOG") or names.TERMINATION_LOG)
    try:
        uvloop.run(build.serve(settings.read(os.environ)))
    except LoadError as err:
        return termination.report(err, log)
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Without the interpreter's clean-up: a hanging inference runs in native code, and taking
    # the runtime's globals from under it would turn an orderly end into a crash.
    os._exit(code)
