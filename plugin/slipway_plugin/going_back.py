"""Going back: which kept revision an undo means, and the change of the specification it takes.

Pure. The operator never writes a specification, so an undo is a person's own change, made from what
was kept: the same sections give a revision of the same name, and with it the same pods.
"""

from collections.abc import Mapping
from typing import Any, Final

from slipway_plugin import contract
from slipway_plugin.deployment import Revision
from slipway_plugin.exits import PluginError
from slipway_plugin.overview import Overview

SECTIONS: Final = ("model", "runtime", "compute")
REPLICAS: Final = "replicas"


def target(seen: Overview, wanted: str | None) -> Revision:
    """Choose the revision: `wanted` is a number, a name or its hash; None means the one before.

    Raises PluginError that lists what is kept.
    """
    of = seen.deployment
    found = _named(seen, wanted) if wanted is not None else seen.revision(_before(seen))
    if found is None:
        kept = ", ".join(f"{revision.number} ({revision.name})" for revision in seen.revisions)
        sought = f"revision {wanted}" if wanted is not None else "a revision before this one"
        raise PluginError(
            f"{of.namespace}/{of.name} has no kept record of {sought};"
            f" kept are: {kept or 'none'}. Say which with --to-revision"
        )
    if found.sections is None:
        raise PluginError(
            f"{found.name} was recorded without its specification: apply it again by hand"
        )
    return found


def is_there(seen: Overview, to: Revision) -> bool:
    """Whether a revision serves and is what the specification asks for already."""
    of = seen.deployment
    return of.stable == to.name and of.candidate is None and not sections(seen, to)


def patch(seen: Overview, to: Revision, *, command: str) -> list[Mapping[str, Any]]:
    """Write the JSON patch (RFC 6902) that asks for `to`, if nobody changed the specification.

    Specification and command go in one write: several revisions may have one specification, and
    the command says which of them is meant. The generation is the fence, not the resourceVersion,
    which every look of the operator may change.
    """
    of = seen.deployment
    fence = {"op": "test", "path": "/metadata/generation", "value": of.generation}
    has_place = of.annotations is not None
    name = contract.ANNOTATION_COMMAND.replace("~", "~0").replace("/", "~1")
    note = {
        "op": "add",
        "path": f"/metadata/annotations/{name}" if has_place else "/metadata/annotations",
        "value": command if has_place else {contract.ANNOTATION_COMMAND: command},
    }
    return [fence, *sections(seen, to), note]


def sections(seen: Overview, to: Revision) -> list[Mapping[str, Any]]:
    """Write what has to change in the specification.

    The number of pods stays as it is: it belongs to no revision.
    """
    assert to.sections is not None
    now = seen.deployment.wanted
    compute = dict(to.sections.get("compute") or {})
    replicas = (now.get("compute") or {}).get(REPLICAS)
    compute.pop(REPLICAS, None)
    if replicas is not None:
        compute[REPLICAS] = replicas
    wanted = {**{name: to.sections.get(name) or {} for name in SECTIONS}, "compute": compute}
    return [
        {"op": "add", "path": f"/spec/{name}", "value": value}
        for name, value in wanted.items()
        if _said(value) != _said(now.get(name) or {})
    ]


def rejected(seen: Overview) -> str | None:
    """Find the rejected revision that the specification still asks for, as far as can be seen."""
    of = seen.deployment
    asked = (
        kept.name
        for kept in seen.revisions
        if kept.name in of.rejected and kept.sections is not None and not sections(seen, kept)
    )
    return next(asked, of.rejected[0] if of.rejected else None)


def _said(section: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave out what says nothing: the API server and the operator's records write empty parts.

    >>> _said({"pool": "cpu", "resources": {"limits": {}}, "podLabels": {}})
    {'pool': 'cpu'}
    """
    parts = {
        key: {name: part for name, part in value.items() if part}
        if isinstance(value, Mapping)
        else value
        for key, value in section.items()
    }
    return {key: value for key, value in parts.items() if value}


def _before(seen: Overview) -> str | None:
    """Find what to go back to: stable if something else is asked for, else what stable replaced."""
    of = seen.deployment
    is_refused = of.condition(contract.STALLED_CONDITION) is not None
    if of.candidate is not None or is_refused:
        return of.stable
    promoted = (
        past.previous
        for past in of.history
        if past.outcome == contract.PROMOTED and past.revision == of.stable
    )
    return next(promoted, None)


def _named(seen: Overview, wanted: str) -> Revision | None:
    prefix = f"{seen.deployment.name}-"
    return next(
        (
            revision
            for revision in seen.revisions
            if wanted in (revision.name, str(revision.number), revision.name.removeprefix(prefix))
        ),
        None,
    )
