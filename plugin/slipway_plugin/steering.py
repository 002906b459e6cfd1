"""The verbs that change something: commands, which the operator answers, and undo.

An undo is a command and a change of the specification, in one write.
"""

import argparse
import json
import os
import sys
from typing import Final

from slipway_plugin import cluster, command, command_line, contract, deployment, going_back
from slipway_plugin.deployment import Answer
from slipway_plugin.exits import Exit, PluginError
from slipway_plugin.kubectl import Failed, Kubectl
from slipway_plugin.overview import Overview

NONCE_BYTES: Final = 4


def steer(arguments: argparse.Namespace) -> Exit:
    """Give a command and wait for the operator's answer."""
    timeout_s, why = command_line.timeout_s(arguments), command.why_of(arguments.why)
    kubectl = Kubectl(command_line.kubectl_flags(arguments))
    seen = cluster.one(kubectl, arguments.name)
    revision = arguments.revision or meant(seen, arguments.verb)
    value = _command(kubectl, arguments.verb, revision, why=why)
    kubectl.write(
        *("annotate", contract.RESOURCE, arguments.name, "--overwrite"),
        f"{contract.ANNOTATION_COMMAND}={value}",
    )
    return _await_answer(kubectl, arguments.name, value, timeout_s=timeout_s)


def undo(arguments: argparse.Namespace) -> Exit:
    """Ask for a kept revision again: its specification, and which revision is meant."""
    timeout_s, why = command_line.timeout_s(arguments), command.why_of(arguments.why)
    kubectl = Kubectl(command_line.kubectl_flags(arguments))
    seen = cluster.one(kubectl, arguments.name)
    target = going_back.target(seen, arguments.to_revision)
    what = f"{target.name}" + (f" ({target.model.version})" if target.model else "")
    if going_back.is_there(seen, target):
        print(f"{arguments.name}: {what} serves already, and is what is asked for")
        return Exit.REACHED
    if arguments.dry_run:
        print(json.dumps(going_back.sections(seen, target), indent=2, ensure_ascii=False))
        return Exit.REACHED
    value = _command(kubectl, "undo", target.name, why=why)
    patch = going_back.patch(seen, target, command=value)
    kubectl.write(
        *("patch", contract.RESOURCE, arguments.name),
        *("--type=json", f"--patch={json.dumps(patch)}"),
    )
    print(f"{arguments.name}: {what} is asked for; go back where the manifest is kept, too")
    return _await_answer(kubectl, arguments.name, value, timeout_s=timeout_s)


def meant(seen: Overview, verb: str) -> str:
    """Tell which revision a command without one is about; PluginError if there is none."""
    of = seen.deployment
    match verb:
        case "retry":
            found = going_back.rejected(seen)
            nothing = "no revision of {} was taken back"
        case "restart":
            found, nothing = of.stable, "nothing of {} serves yet"
        case _:
            found = of.candidate if of.stable else None
            nothing = "nothing of {} is being rolled out"
    if found is None:
        where = f"{of.namespace}/{of.name}"
        raise PluginError(f"{nothing.format(where)} ({of.phase}): there is nothing to {verb}")
    return found


def _command(kubectl: Kubectl, verb: str, revision: str, *, why: str) -> str:
    """Write the command, with who gives it where the cluster tells (Kubernetes 1.28 and newer)."""
    (review,) = kubectl.read_all(("auth", "whoami"))
    who = "" if isinstance(review, Failed) else command.who_of(review)
    return command.value(verb, revision, nonce=os.urandom(NONCE_BYTES).hex(), who=who, why=why)


def _await_answer(kubectl: Kubectl, name: str, value: str, *, timeout_s: float) -> Exit:
    what = value.partition("#")[0].replace("@", " ")
    answer = _answer(kubectl, name, value, timeout_s=timeout_s)
    if answer is None:
        print(
            f"{what} was asked for, but the operator has not answered within {timeout_s:g} s;"
            " it will when it runs again",
            file=sys.stderr,
        )
        return Exit.UNDER_WAY
    if not answer.is_accepted:
        raise PluginError(f"{what} was refused: {answer.message}")
    print(f"{name}: {what} accepted" + (f"; {answer.message}" if answer.message else ""))
    return Exit.REACHED


def _answer(kubectl: Kubectl, name: str, value: str, *, timeout_s: float) -> Answer | None:
    with kubectl.watch("get", contract.RESOURCE, name, timeout_s=timeout_s) as watch:
        for change in watch.changes(every_s=timeout_s):
            answer = deployment.read(change).answer if change else None
            if answer is not None and answer.value == value:
                return answer
    return None
