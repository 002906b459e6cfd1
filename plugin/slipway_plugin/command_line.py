"""The command line: verbs, options and help, as values. What verbs do is elsewhere.

It imports nothing but argparse, because every start pays for it.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from slipway_plugin import contract

PROGRAM: Final = "kubectl slipway"
EXIT_CODES: Final = """exit codes:
  0  what was asked for is so
  1  usage, kubectl, the API server, or a command that was refused
  2  taken back: rolled back, aborted or stalled
  3  still under way (for wait: when the time is over)
  4  waits for a person, unless that was asked for
  5  superseded: another change replaced the one that was waited for
"""


# The verbs, and where each is done: module and function.
VERBS: Final = {
    "status": "looking:status",
    "history": "looking:history",
    "explain": "looking:explain",
    "plan": "looking:plan_of",
    **dict.fromkeys(contract.COMMANDS, "steering:steer"),
    "undo": "steering:undo",
    "wait": "awaiting:wait",
    "completion": "completion:run",
}

Add = Callable[..., argparse.ArgumentParser]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """End with 1: argparse's own 2 means something else here."""
        self.print_usage(sys.stderr)
        self.exit(1, f"{self.prog}: {message}\n")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; `verb` names what to do. Ends the process for help and for errors."""
    return parser().parse_args(argv)


def parser() -> argparse.ArgumentParser:
    """Make the parser of everything."""
    top = _Parser(
        prog=PROGRAM,
        description="Look at the rollouts of ModelDeployments, and steer them.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    def add(verb: str, text: str, *, name: str = "NAME") -> argparse.ArgumentParser:
        made = verbs.add_parser(
            verb,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _add_cluster(made)
        if name:
            is_optional = name.startswith("[")
            made.add_argument(
                "name", metavar="NAME", nargs="?" if is_optional else None, type=_name
            )
        return made

    _add_looking(add)
    _add_steering(add)
    _add_waiting(add)
    return top


def _add_looking(add: Add) -> None:
    status = add("status", "show where deployments stand, and why they wait", name="[NAME]")
    status.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
    status.add_argument("-l", "--selector", metavar="LABELS", help="those with these labels")
    status.add_argument("-w", "--watch", action="store_true", help="until the rollout has ended")
    _add_output(status, "json", "yaml", "wide", "name")
    status.add_argument("--ascii", action="store_true", help="no signs beyond ASCII")
    for verb, text in (
        ("history", "show past rollouts and kept revisions"),
        ("explain", "say why a deployment is as it is, and what can be done"),
    ):
        made = add(verb, text)
        _add_output(made, "json", "yaml")
        made.add_argument("--ascii", action="store_true", help="no signs beyond ASCII")
    plan = add("plan", "show what a manifest compiles to, without a cluster", name="")
    plan.add_argument(
        "-f", "--filename", required=True, metavar="FILE", help="- for standard input"
    )
    plan.add_argument("--rate", type=_rate, help="requests per second, for the time of measuring")
    _add_output(plan, "json", "yaml")
    plan.add_argument("--ascii", action="store_true", help="no signs beyond ASCII")


def _add_steering(add: Add) -> None:
    for verb, text in contract.COMMANDS.items():
        made = add(verb, text)
        made.add_argument("--timeout", default="10s", help="for the answer, default: %(default)s")
        if verb == "undo":
            made.add_argument("--to-revision", metavar="N", help="its number or name, see history")
            made.add_argument("--dry-run", action="store_true", help="show the change, make none")
        else:
            made.add_argument("--revision", help="its name, if not the one at hand is meant")


def _add_waiting(add: Add) -> None:
    wait = add("wait", "wait until a change has come to its end; the exit code says which")
    wait.add_argument("--for", dest="goal", choices=("ready", "paused"), default="ready")
    wait.add_argument(
        "--generation", type=int, metavar="N", help="of the change, by default the present one"
    )
    wait.add_argument("--timeout", default="30m", help="like 90s or 1h; default: %(default)s")
    completion = add("completion", "print or install completion for kubectl", name="")
    completion.add_argument("action", choices=("print", "install"))
    completion.add_argument("--folder", help="a folder on PATH; default: that of kubectl-slipway")


def _add_cluster(made: argparse.ArgumentParser) -> None:
    made.add_argument("-n", "--namespace", help="by default that of the context")
    made.add_argument("--context", help="of the kubeconfig")
    made.add_argument("--kubeconfig", metavar="FILE")


def _add_output(made: argparse.ArgumentParser, *choices: str) -> None:
    made.add_argument("-o", "--output", choices=choices, help="for programs; default: for people")


def _name(text: str) -> str:
    """Take kubectl's KIND/NAME too."""
    return text.rpartition("/")[2]


def _rate(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1e6:
        raise argparse.ArgumentTypeError("must be above 0 and at most 1,000,000")
    return value


def timeout_s(arguments: argparse.Namespace) -> float:
    """Read --timeout; raises PluginError."""
    from slipway_plugin import wording
    from slipway_plugin.exits import PluginError

    found = wording.duration_s(arguments.timeout)
    if found is None:
        raise PluginError(f"--timeout {arguments.timeout!r}: write a duration like 90s or 1h")
    return found


def kubectl_flags(arguments: argparse.Namespace) -> list[str]:
    """Write the options that are kubectl's own."""
    values = {
        "--kubeconfig": arguments.kubeconfig,
        "--context": arguments.context,
        "--namespace": arguments.namespace,
    }
    return [f"{flag}={value}" for flag, value in values.items() if value]
