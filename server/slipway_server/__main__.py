"""`slipway-server`: a command, or settings from the environment; an exit code that tells why."""

import os
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

SILENCE: Final = "ORT_DISABLE_TELEMETRY"


def main(argv: Sequence[str]) -> int:
    """Run until done or SIGTERM; 0, or 78 and 75 when the model cannot be served."""
    import uvloop

    from slipway_api import names
    from slipway_server import cli, processors, settings, termination
    from slipway_server.core.errors import LoadError

    # ONNX Runtime looks at it when it is loaded, and reports to its makers without it.
    os.environ.setdefault(SILENCE, "1")
    # A client may send what FP32 cannot hold. numpy's `errstate` would cost each request 10 µs.
    warnings.filterwarnings("ignore", message="overflow encountered in cast")
    log: Path | None = Path(
        os.environ.get("SLIPWAY_SERVER_TERMINATION_LOG") or names.TERMINATION_LOG
    )
    try:
        if argv:
            log = None
            return cli.main(argv)
        from slipway_server import build

        uvloop.run(build.serve(settings.read(os.environ, processors.sizes(processors.quota()))))
    except LoadError as err:
        return termination.report(err, log)
    return 0


def run() -> NoReturn:
    """End the process with what `main` says, without the interpreter's clean-up.

    A hanging inference runs in native code, and taking the runtime's globals from under it would
    turn an orderly end into a crash.

    Loading its parts takes a second, on a busy node many. The first process of a container never
    hears a signal that it has no handler for: told to end meanwhile, it would start, serve nobody,
    and be killed at the end of its pod's grace.
    """
    if not sys.argv[1:]:
        signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(0))
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
