"""Verbs that look: status, history, explain and plan. They read and print; they decide nothing."""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from slipway_plugin import (
    cluster,
    command_line,
    contract,
    document,
    drawing,
    explanation,
    plan,
    progress,
    screen,
    terminal,
    yaml_text,
)
from slipway_plugin.exits import Exit, PluginError
from slipway_plugin.kubectl import Kubectl, documents
from slipway_plugin.overview import Overview
from slipway_plugin.screen import Line

REDRAW_S: Final = 1.0
WATCH_S: Final = 7 * 24 * 3600.0
PLAIN_EVERY_S: Final = 5.0


def status(arguments: argparse.Namespace) -> Exit:
    """Show one deployment or many; the code of one says where it stands."""
    kubectl = Kubectl(command_line.kubectl_flags(arguments))
    if arguments.name is None:
        if arguments.watch:
            raise PluginError("--watch follows one deployment: name it")
        return _list(arguments, kubectl)
    if arguments.watch:
        if arguments.output:
            raise PluginError("--watch is for people: for programs there is `wait`")
        return _watch(arguments, kubectl)
    seen = cluster.one(kubectl, arguments.name)
    if arguments.output == "name":
        print(_name(seen))
    elif arguments.output in ("json", "yaml"):
        _print(document.status(seen), arguments.output)
    else:
        here = terminal.this(wants_ascii=arguments.ascii)
        wide = arguments.output == "wide"
        here.show(screen.status(seen, _now(), width=here.width, is_wide=wide))
    return progress.standing(seen.deployment).exit


def history(arguments: argparse.Namespace) -> Exit:
    """Show past rollouts and kept revisions."""
    seen = cluster.one(Kubectl(command_line.kubectl_flags(arguments)), arguments.name)
    if arguments.output:
        _print(document.history(seen), arguments.output)
    else:
        here = terminal.this(wants_ascii=arguments.ascii)
        here.show(screen.history(seen, _now(), width=here.width))
    return Exit.REACHED


def explain(arguments: argparse.Namespace) -> Exit:
    """Say why, and what can be done."""
    kubectl = Kubectl(command_line.kubectl_flags(arguments))
    seen = cluster.one(kubectl, arguments.name, has_events=True)
    because, advice = explanation.because(seen), explanation.advice(seen)
    if arguments.output:
        _print(document.explanation(seen, because, advice), arguments.output)
    else:
        here = terminal.this(wants_ascii=arguments.ascii)
        lines = explanation.screen(seen, _now(), width=here.width)
        here.show(lines)
    return progress.standing(seen.deployment).exit


def plan_of(arguments: argparse.Namespace) -> Exit:
    """Show what the ModelDeployments of a file compile to."""
    manifests = [each for each in _manifests(arguments.filename) if each["kind"] == contract.KIND]
    if not manifests:
        raise PluginError(f"{arguments.filename} holds no {contract.KIND}")
    plans = [plan.compile_manifest(each, rate=arguments.rate) for each in manifests]
    here = terminal.this(wants_ascii=arguments.ascii)
    for each in plans:
        if arguments.output == "yaml" and len(plans) > 1:
            print("---")
        if arguments.output == "drawing":
            here.show(drawing.picture(each, width=here.width))
        elif arguments.output:
            _print(plan.written(each), arguments.output)
        else:
            here.show(drawing.screen(each, width=here.width))
    return Exit.REACHED


def _list(arguments: argparse.Namespace, kubectl: Kubectl) -> Exit:
    found = cluster.many(
        kubectl, selector=arguments.selector, is_everywhere=arguments.all_namespaces
    )
    if arguments.output in ("json", "yaml"):
        _print(document.listing(found), arguments.output)
    elif arguments.output == "name":
        print("\n".join(_name(seen) for seen in found))
    elif found:
        here = terminal.this(wants_ascii=arguments.ascii)
        width = 10_000 if arguments.output == "wide" else here.width
        here.show(screen.listing(found, width=width, has_namespace=arguments.all_namespaces))
    else:
        print("no ModelDeployments found", file=sys.stderr)
    return Exit.REACHED


def _watch(arguments: argparse.Namespace, kubectl: Kubectl) -> Exit:
    """Show a deployment anew at each change, until a rollout that was seen has ended."""
    here = terminal.this(wants_ascii=arguments.ascii)
    around = cluster.Surroundings(kubectl)
    shown: list[Line] = []
    was_under_way = False
    with kubectl.watch("get", contract.RESOURCE, arguments.name, timeout_s=WATCH_S) as watch:
        for found in _latest(watch.changes(every_s=REDRAW_S if here.is_live else PLAIN_EVERY_S)):
            seen = around.of(found, now_s=time.monotonic())
            lines = screen.status(seen, _now(), width=here.width)
            if lines != shown:
                here.redraw(lines if here.is_live else [*lines, Line("")])
                shown = lines
            standing = progress.standing(seen.deployment)
            is_over = standing.exit in (Exit.REACHED, Exit.TAKEN_BACK)
            if is_over and was_under_way:
                return standing.exit
            was_under_way = was_under_way or not is_over
    return Exit.UNDER_WAY


def _latest(changes: Iterator[dict[str, Any] | None]) -> Iterator[dict[str, Any]]:
    """Give the object at each change and each moment in between."""
    found = None
    for change in changes:
        found = change or found
        if found is not None:
            yield found


def _manifests(file: str) -> Iterator[dict[str, Any]]:
    """Read the objects of a file: JSON here, YAML through kubectl, which needs no server for it."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise PluginError(f"cannot read {file}: {error.strerror}") from error
    if not text.lstrip().startswith("{"):
        call = ("patch", "--local", "--filename=-", "--type=merge", "--patch={}", "--output=json")
        text = Kubectl().write(*call, text=text)
    try:
        found = list(documents(text.splitlines(keepends=True)))
    except json.JSONDecodeError as error:
        raise PluginError(f"{file} is not JSON: {error}") from error
    for each in found:
        yield from each.get("items", [each])


def _print(value: document.Document, output: str) -> None:
    if output == "yaml":
        print(yaml_text.dump(value), end="")
    else:
        print(json.dumps(value, indent=2, ensure_ascii=False))


def _name(seen: Overview) -> str:
    return f"{contract.RESOURCE.replace('deployments', 'deployment')}/{seen.deployment.name}"


def _now() -> datetime:
    return datetime.now(UTC)
