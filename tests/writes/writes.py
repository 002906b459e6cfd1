"""Writes: what an operator sends, named so that the same write of another run has the same name.

Pure. A write's name leaves out what differs between two runs of the same story: times, uids,
versions, namespaces, addresses, counts of requests.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

Object = dict[str, Any]

# Keys whose values are times, identities of one object, or numbers of one run.
_VARYING: Final = frozenset(
    {
        *("uid", "resourceVersion", "creationTimestamp", "managedFields", "selfLink"),
        *("lastTransitionTime", "startedAt", "endedAt", "endsAt", "since", "at", "until"),
        *("stepStartedAt", "stoppedSince", "stoppedSeconds", "weightedAt", "unreadySince"),
        *("loweredAt", "renewTime", "eventTime", "acquireTime", "holderIdentity"),
        *("leaseTransitions", "evidence", "phi", "verdicts", "perTryTimeoutSeconds", "message"),
        *("clusterIP", "clusterIPs", "addresses", "reportingInstance"),
    }
)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")


class Fault(StrEnum):
    """What happens to one write."""

    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"
    REPLY_LOST = "reply lost"


@dataclass(frozen=True, slots=True)
class Write:
    """One write: to whom and what, and in which state of the deployment it was sent."""

    state: str
    what: str

    @property
    def name(self) -> str:
        """Name it in one line."""
        return f"[{self.state}] {self.what}"

    @property
    def digest(self) -> str:
        """Name it in four hexadecimal digits, which are enough within a story."""
        return digest(self.name)[:4]


def api_write(method: str, path: str, body: bytes, *, namespace: str, state: str) -> Write:
    """Name a request to the API server. The Lease is written in all states alike."""
    content = json.loads(body) if body else {}
    short = path.replace(f"/namespaces/{namespace}", "").partition("?")[0]
    short = "/".join(short.split("/")[3 if short.startswith("/api/") else 4 :])
    if "/events" in path:
        short = f"events {content.get('reason')} {content.get('type')}"
        state, content = "any", {"note": _shortened(content.get("note", ""), namespace)}
    if short.endswith("secrets"):
        content = {}
    if "leases" in short:
        spec = content.get("spec", {})
        state, content = "any", {"held": bool(spec.get("holderIdentity"))}
    return Write(state, f"{method} {short} {digest(stripped(content, namespace))}")


def push(router: str, kind: str, *, words: Iterable[str], namespace: str, state: str) -> Write:
    """Name a message to a router; `words` are its resources."""
    what = " ".join(_shortened(word, namespace) for word in words)
    return Write(state, f"PUSH {router} {kind} {what}".strip())


def state_of(status: Mapping[str, Any]) -> str:
    """Name the state of a deployment by its last status."""
    if not status:
        return "new"
    weight = status.get("weight") or {}
    rollout = status.get("rollout") or {}
    parts = [
        str(status.get("phase")),
        str((status.get("waiting") or {}).get("reason", "-")),
        f"{weight.get('asked', 0)}/{weight.get('verified', 0)}",
    ]
    if rollout:
        parts.append(f"step {rollout.get('stepIndex', 0)}")
    if rollout.get("abort"):
        parts.append("aborting")
    if status.get("drain"):
        parts.append("draining")
    return " ".join(parts)


def stripped(value: Any, namespace: str) -> Any:
    """Leave out what differs between two runs of one story."""
    match value:
        case dict():
            return {
                key: stripped(item, namespace)
                for key, item in sorted(value.items())
                if key not in _VARYING
            }
        case list():
            return [stripped(item, namespace) for item in value]
        case str():
            return _shortened(value, namespace)
        case _:
            return value


def _shortened(text: str, namespace: str) -> str:
    return _TIME.sub("TIME", text.replace(namespace, "NAMESPACE"))


def digest(value: Any) -> str:
    """Name a value in eight hexadecimal digits."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
