"""The command line of `./dev`: names, options and help. What commands do is in `commands`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from sandbox import cluster, commands
from sandbox.errors import SandboxError
from sandbox.programs import ProgramError

Run = Callable[[argparse.Namespace], int]

_NAME: Final = "dev"
_CHECKS: Final = ("unit", "contract", "writes", "e2e", "faults")
_INTERRUPTED: Final = 130


def main(argv: Sequence[str]) -> int:
    """Run one command; return its exit code."""
    try:
        if argv and argv[0] == "demo":
            return commands.demo(argv[1:])
        if argv and argv[0] == "bench":
            return commands.bench(argv[1:])
        if argv and argv[0] == "report":
            return commands.report(argv[1:])
        if argv and argv[0] == "conformance":
            return commands.conformance(argv[1:])
        if argv and argv[0] == "proof":
            return commands.proof(argv[1:])
        arguments = _parser().parse_args(argv)
        run: Run = arguments.run
        return run(arguments)
    except (SandboxError, ProgramError) as error:
        print(f"dev: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./dev", description="Everything one does with this checkout, in one place."
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(run: Run, name: str, *, text: str) -> argparse.ArgumentParser:
        found = subparsers.add_parser(name, help=text, description=text)
        found.set_defaults(run=run)
        return found

    _add_cluster(add)
    _add_clients(add)
    _add_checks(add)
    return parser


def _add_cluster(add: Callable[..., argparse.ArgumentParser]) -> None:
    up = add(commands.up, "up", text="bring up a Kubernetes cluster on this machine")
    up.add_argument("--nodes", type=int, default=cluster.NODE_COUNT, help="default: %(default)s")
    named = [
        up,
        add(commands.down, "down", text="take the cluster down"),
        add(commands.env, "env", text='print settings for a shell: eval "$(./dev env)"'),
    ]
    for each in named:
        _add_name(each)
    add(commands.status, "status", text="say which clusters there are and how they do")
    clean = add(commands.clean, "clean", text="remove what crashed runs left behind")
    clean.add_argument("--all", action="store_true", help="clusters that are up as well")


def _add_clients(add: Callable[..., argparse.ArgumentParser]) -> None:
    client = add(
        commands.client,
        "client",
        text="run a program on the cluster's network, with the cluster's names: client -- CMD…",
    )
    _add_name(client)
    client.add_argument("--namespace", default="default", help="where short names are looked up")
    client.add_argument("arguments", nargs=argparse.REMAINDER, metavar="-- CMD…")
    curl = add(
        commands.curl, "curl", text="send a request to a ModelDeployment through its Service"
    )
    _add_name(curl)
    curl.add_argument("target", metavar="NAMESPACE/NAME")
    curl.add_argument("path", metavar="PATH", help="like /v2/health/ready")
    curl.add_argument("arguments", nargs=argparse.REMAINDER, metavar="…", help="options of curl")
    # Listed here for the help only: `main` hands these over before options are looked at.
    add(commands.status, "demo", text="show four model changes under load; see demo --help")
    add(commands.status, "report", text="recompute the demo's report: report LEDGER")
    add(
        commands.status,
        "bench",
        text="measure the model server, or rollouts: bench server|rollouts",
    )
    text = "try a server against the Open Inference Protocol; see conformance --help"
    add(commands.status, "conformance", text=text)
    add(commands.status, "proof", text="prove what is promised of the operator: proof writes")


def _add_checks(add: Callable[..., argparse.ArgumentParser]) -> None:
    test = add(commands.test, "test", text="run tests; without a name all but faults")
    test.add_argument("tier", nargs="?", choices=(*_CHECKS, "all"), default="all")
    test.add_argument("arguments", nargs=argparse.REMAINDER, metavar="…", help="options of pytest")
    add(commands.lint, "lint", text="check style, types and the layers of packages")
    generate = add(commands.generate, "generate", text="write generated files")
    generate.add_argument("--check", action="store_true", help="fail if one is stale instead")
    plugin = add(commands.plugin, "plugin", text="build kubectl-slipway, kubectl's plugin")
    plugin.add_argument("folder", nargs="?", type=Path, help="default: build")
    add(commands.lock, "lock", text="write requirements/*.txt from pyproject.toml")


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default=_NAME, help="the cluster's name, default: %(default)s")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
