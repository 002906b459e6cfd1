"""The verb that waits: it follows one change to its end; its exit code tells what came of it."""

import argparse
import sys

from slipway_plugin import command_line, contract, deployment, progress
from slipway_plugin.exits import Exit
from slipway_plugin.kubectl import Kubectl


def wait(arguments: argparse.Namespace) -> Exit:
    """Wait until the change has come to its end, a person is needed, or the time is over."""
    timeout_s = command_line.timeout_s(arguments)
    kubectl = Kubectl(command_line.kubectl_flags(arguments))
    waited: progress.Awaited | None = None
    found = progress.Progress(Exit.UNDER_WAY, "nothing was heard of it")
    told = ""
    with kubectl.watch("get", contract.RESOURCE, arguments.name, timeout_s=timeout_s) as watch:
        for change in watch.changes(every_s=timeout_s):
            if change is None:
                continue
            now = deployment.read(change)
            if waited is None:
                waited = progress.awaited(now, generation=arguments.generation, goal=arguments.goal)
            waited = progress.follow(waited, now)
            found = progress.judge(waited, now)
            stage = progress.stage(now)
            if found.exit is Exit.UNDER_WAY and stage != told:
                print(stage, file=sys.stderr)  # standard output is for how it ends
                told = stage
            if found.exit is not Exit.UNDER_WAY:
                print(found.message)
                return found.exit
    print(f"not after {arguments.timeout}; it waits: {found.message}")
    return Exit.UNDER_WAY
