"""The command line: verbs, options and help, as values. What verbs do is elsewhere.

It imports nothing but argparse, because every start pays for it.
"""

import argparse
import sys
from collections.abc import Sequence
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


# The verbs: what each does, and where it is done (module and function).
VERBS: Final = {
    "status": ("show where deployments stand, and why they wait", "looking:status"),
    "history": ("show past rollouts and kept revisions", "looking:history"),
    "explain": ("say why a deployment is as it is, and what can be done", "looking:explain"),
    "plan": ("show what a manifest compiles to, without a cluster", "looking:plan_of"),
    **{verb: (text, "steering:steer") for verb, text in contract.COMMANDS.items()},
    "undo": (contract.COMMANDS["undo"], "steering:undo"),
    "wait": ("wait until a change has come to its end; the exit code says which", "awaiting:wait"),
    "completion": ("print or install completion for kubectl", "completion:run"),
}
# A terminal's usual width: to ask for the true one takes argparse longer than all the rest.
WIDTH: Final = 80


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """End with 1: argparse's own 2 means something else here."""
        self.print_usage(sys.stderr)
        self.exit(1, f"{self.prog}: {message}\n")


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=WIDTH)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; `verb` names what to do. Ends the process for help and for errors.

    The parser of the verb that is named is the only one that is made: each costs a millisecond.
    """
    verb = argv[0] if argv else ""
    if verb not in VERBS:
        return overview().parse_args(argv)
    arguments = verb_parser(verb).parse_args(argv[1:])
    arguments.verb = verb
    return arguments


def overview() -> argparse.ArgumentParser:
    """Make the parser that explains all verbs and knows the options of none."""
    verbs = "".join(f"  {verb:<12}{text}\n" for verb, (text, _) in VERBS.items())
    top = _Parser(
        prog=PROGRAM,
        usage=f"{PROGRAM} VERB [NAME] [options]",
        description="Look at the rollouts of ModelDeployments, and steer them.",
        epilog=f"verbs ({PROGRAM} VERB --help explains one):\n{verbs}\n{EXIT_CODES}",
        formatter_class=_Formatter,
    )
    top.add_argument("verb", choices=VERBS, metavar="VERB", help=argparse.SUPPRESS)
    return top


def verb_parser(verb: str) -> argparse.ArgumentParser:
    """Make the parser of one verb."""
    text, _ = VERBS[verb]
    made = _Parser(
        prog=f"{PROGRAM} {verb}",
        description=text[0].upper() + text[1:] + ".",
        epilog=EXIT_CODES,
        formatter_class=_Formatter,
    )
    if verb == "status":
        _add_status(made)
    elif verb == "plan":
        _add_plan(made)
    elif verb == "completion":
        _add_completion(made)
    else:
        made.add_argument("name", metavar="NAME", type=_name)
    if verb in ("history", "explain"):
        _add_output(made, "json", "yaml")
    elif verb in contract.COMMANDS:
        _add_command(made, verb)
    elif verb == "wait":
        _add_wait(made)
    _add_cluster(made)
    return made


def _add_status(made: argparse.ArgumentParser) -> None:
    made.add_argument("name", metavar="NAME", nargs="?", type=_name, help="default: all")
    made.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
    made.add_argument("-l", "--selector", metavar="LABELS", help="those with these labels")
    made.add_argument("-w", "--watch", action="store_true", help="until the rollout has ended")
    _add_output(made, "json", "yaml", "wide", "name")


def _add_plan(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "-f", "--filename", required=True, metavar="FILE", help="- for standard input"
    )
    made.add_argument("--rate", type=_rate, help="requests per second, for the time of measuring")
    _add_output(made, "json", "yaml", "drawing")


def _add_command(made: argparse.ArgumentParser, verb: str) -> None:
    made.add_argument("--timeout", default="10s", help="for the answer, default: %(default)s")
    made.add_argument("--why", metavar="TEXT", help="kept in the history with who you are")
    if verb == "undo":
        made.add_argument("--to-revision", metavar="N", help="its number or name, see history")
        made.add_argument("--dry-run", action="store_true", help="show the change, make none")
    else:
        made.add_argument("--revision", help="its name, if not the one at hand is meant")


def _add_wait(made: argparse.ArgumentParser) -> None:
    made.add_argument("--for", dest="goal", choices=("ready", "paused"), default="ready")
    made.add_argument(
        "--generation", type=int, metavar="N", help="of the change, by default the present one"
    )
    made.add_argument("--timeout", default="30m", help="like 90s or 1h; default: %(default)s")


def _add_completion(made: argparse.ArgumentParser) -> None:
    made.add_argument("action", choices=("print", "install"))
    made.add_argument("--folder", help="a folder on PATH; default: that of kubectl-slipway")


def _add_cluster(made: argparse.ArgumentParser) -> None:
    made.add_argument("-n", "--namespace", help="by default that of the context")
    made.add_argument("--context", help="of the kubeconfig")
    made.add_argument("--kubeconfig", metavar="FILE")


def _add_output(made: argparse.ArgumentParser, *choices: str) -> None:
    made.add_argument("-o", "--output", choices=choices, help="for programs; default: for people")
    made.add_argument("--ascii", action="store_true", help="no signs beyond ASCII")


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
