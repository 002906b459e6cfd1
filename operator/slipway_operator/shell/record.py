"""Record: write status when it says something new, and numbers alone only now and then."""

import time
from typing import Any, Final

from slipway_api.model_deployment import ModelDeployment
from slipway_api.status import ModelDeploymentStatus
from slipway_operator.adapters import kube_resources as kinds
from slipway_operator.adapters.kube import KubeClient

Object = dict[str, Any]
Owner = tuple[str, str]

NUMBERS_S: Final = 10.0  # evidence in status is at most this old


class StatusWriter:
    """Applies the status of ModelDeployments; belongs to one event loop."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._written_s: dict[Owner, float] = {}

    async def write(
        self, deployment: ModelDeployment, status: ModelDeploymentStatus, *, resource_version: str
    ) -> float | None:
        """Write what is new. Gives the seconds until numbers may be written, None if none wait.

        Raises `Conflict` if the object changed since it was read, and other `ApiError`.
        """
        before, after = deployment.status, status
        if before == after:
            return None
        metadata = deployment.metadata
        owner = (metadata.namespace, metadata.name)
        age_s = time.monotonic() - self._written_s.get(owner, float("-inf"))
        if _words(before) == _words(after) and age_s < NUMBERS_S:
            return NUMBERS_S - age_s
        body = {
            "metadata": {
                "name": metadata.name,
                "namespace": metadata.namespace,
                "resourceVersion": resource_version,
            },
            "status": after.model_dump(mode="json", by_alias=True, exclude_none=True),
        }
        await self._client.apply_status(kinds.MODEL_DEPLOYMENTS, body)
        self._written_s[owner] = time.monotonic()
        return None

    def forget(self, owner: Owner) -> None:
        """Drop what is remembered of a deleted object."""
        self._written_s.pop(owner, None)


def _words(status: ModelDeploymentStatus) -> Object:
    """Leave out what are numbers only: counts, rates and the sentences that quote them."""
    dump = status.model_dump(mode="json", exclude={"verdicts"})
    if dump["rollout"] is not None:
        dump["rollout"] |= {"evidence": "", "phi": None}
    dump["phi"] = None
    if dump["waiting"] is not None:
        dump["waiting"]["message"] = ""
    for condition in dump["conditions"]:
        condition["message"] = ""
    dump["states"] = [(verdict.gate, verdict.verdict) for verdict in status.verdicts]
    return dump
