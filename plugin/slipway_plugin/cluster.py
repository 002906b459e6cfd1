"""What verbs ask a cluster for, in few calls: deployments with what belongs to them."""

from collections.abc import Sequence
from typing import Any, Final

from slipway_plugin import contract, overview
from slipway_plugin.exits import PluginError
from slipway_plugin.kubectl import Failed, Kubectl
from slipway_plugin.overview import Overview

Object = dict[str, Any]

AROUND_S: Final = 5.0  # pods become ready without a change of the deployment


def one(kubectl: Kubectl, name: str, *, has_events: bool = False) -> Overview:
    """Read a deployment, its kept revisions and pods; what may not be read is said, not raised."""
    events = (f"involvedObject.kind={contract.KIND},involvedObject.name={name}",)
    calls: list[Sequence[str]] = [
        ("get", contract.RESOURCE, name),
        *_related(f"{contract.LABEL_DEPLOYMENT}={name}"),
        *(("get", "events", f"--field-selector={selector}") for selector in events if has_events),
    ]
    found, *others = kubectl.read_all(*calls)
    if isinstance(found, Failed):
        raise PluginError(found.message)
    items, missing = _items(others[:2])
    told, unheard = _items(others[2:])
    return overview.collect(found, items, events=told, missing=(*missing, *unheard))


class Surroundings:
    """What belongs to one deployment that is watched, read anew when it changed or grew old."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._version: str | None = None
        self._read_s = 0.0
        self._items: list[Object] = []
        self._missing: list[str] = []

    def of(self, found: Object, *, now_s: float) -> Overview:
        """Put the deployment together with its revisions and pods."""
        metadata = found["metadata"]
        version = metadata["resourceVersion"]
        if version != self._version or now_s - self._read_s >= AROUND_S:
            selector = f"{contract.LABEL_DEPLOYMENT}={metadata['name']}"
            self._items, self._missing = _items(self._kubectl.read_all(*_related(selector)))
            self._version, self._read_s = version, now_s
        return overview.collect(found, self._items, missing=self._missing)


def many(kubectl: Kubectl, *, selector: str | None, is_everywhere: bool) -> list[Overview]:
    """Read all deployments of a namespace or of all, with their kept revisions."""
    where = ("--all-namespaces",) if is_everywhere else ()
    chosen = (f"--selector={selector}",) if selector else ()
    found, records = kubectl.read_all(
        ("get", contract.RESOURCE, *where, *chosen),
        ("get", contract.RECORDS, f"--selector={contract.LABEL_DEPLOYMENT}", *where),
    )
    if isinstance(found, Failed):
        raise PluginError(found.message)
    items, missing = _items([records])
    return [overview.collect(each, items, missing=missing) for each in found["items"]]


def _related(selector: str) -> list[Sequence[str]]:
    return [("get", kind, f"--selector={selector}") for kind in (contract.RECORDS, "pods")]


def _items(answers: Sequence[Object | Failed]) -> tuple[list[Object], list[str]]:
    items: list[Object] = []
    missing = []
    for answer in answers:
        if isinstance(answer, Failed):
            missing.append(answer.message.splitlines()[-1])
        else:
            items += answer["items"]
    return items, missing
