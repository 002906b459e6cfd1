"""The Lease in the API server: read, made, replaced. Who may do so when is decided elsewhere."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from slipway_operator.adapters import kube_resources as kinds
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_http import Object
from slipway_operator.engine.lease import Claim

REQUEST_TIMEOUT_S: Final = 2.0  # two tries fit into the time after which another one takes over


@dataclass(frozen=True, slots=True)
class Stored:
    """A claim as it was found, with the fence for replacing it."""

    claim: Claim
    resource_version: str


class LeaseStore:
    """One Lease by name; every method raises `ApiError`."""

    def __init__(self, client: KubeClient, *, namespace: str, name: str) -> None:
        """`client` is one of its own: renewals queue behind nothing."""
        self._client = client
        self._namespace, self._name = namespace, name

    async def read(self) -> Stored | None:
        """Read the Lease; None if there is none yet."""
        found = await self._client.find(kinds.LEASES, self._name, namespace=self._namespace)
        return None if found is None else _stored(found)

    async def write(self, claim: Claim, *, over: Stored | None) -> Stored:
        """Put a claim in the place of another one; raises `Conflict` if it is not there any more.

        `over` None makes the Lease.
        """
        metadata = {"name": self._name, "namespace": self._namespace}
        body = {"metadata": metadata, "spec": _spec(claim)}
        if over is None:
            return _stored(await self._client.create(kinds.LEASES, body))
        body["metadata"] = metadata | {"resourceVersion": over.resource_version}
        return _stored(await self._client.replace(kinds.LEASES, body))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def now() -> str:
    """Tell the time as the Lease's readers (`kubectl get lease`) expect it: RFC 3339, in µs."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _spec(claim: Claim) -> Object:
    return {
        "holderIdentity": claim.holder,
        "leaseDurationSeconds": round(claim.duration_s),
        "renewTime": claim.renewed,
        "leaseTransitions": claim.transition_count,
    }


def _stored(item: Object) -> Stored:
    spec = item.get("spec") or {}
    claim = Claim(
        holder=spec.get("holderIdentity") or "",
        duration_s=float(spec.get("leaseDurationSeconds") or 0),
        renewed=spec.get("renewTime") or "",
        transition_count=int(spec.get("leaseTransitions") or 0),
    )
    return Stored(claim, item["metadata"]["resourceVersion"])
