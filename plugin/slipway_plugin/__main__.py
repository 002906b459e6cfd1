"""Starts `kubectl slipway`: reads the command line, runs one verb, turns errors into exit codes.

Only the module of the verb is imported, so that help comes at once.
"""

import sys

from slipway_plugin import command_line

PYTHON_MIN = (3, 11)
INTERRUPTED = 130


def main() -> int:
    """Run one verb; the exit codes are those of `slipway_plugin.exits`."""
    if sys.version_info < PYTHON_MIN:
        version = sys.version.split()[0]
        print(f"kubectl-slipway needs Python 3.11 or newer; this is {version}", file=sys.stderr)
        return 1
    argv = sys.argv[1:]
    try:
        if argv[:1] == ["__complete"]:
            from slipway_plugin import completion

            return completion.complete(argv[1:])
        return _run(argv)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough
        sys.stderr.close()
        return 1


def _run(argv: list[str]) -> int:
    arguments = command_line.parse(argv)
    from slipway_plugin.exits import PluginError

    module, _, function = command_line.VERBS[arguments.verb][1].partition(":")
    from importlib import import_module

    verb = getattr(import_module(f"slipway_plugin.{module}"), function)
    try:
        return int(verb(arguments))
    except PluginError as error:
        print(f"kubectl slipway: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
