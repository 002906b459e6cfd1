"""Act: carry out what was decided, one match statement over the actions. Decides nothing."""

from typing import Any, assert_never

from slipway_operator.adapters import kube_resources as kinds
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.engine.actions import (
    Action,
    EnsureWorkload,
    LeadPreview,
    LeadToPods,
    PublishAddress,
    RecordDigest,
    RecordRevision,
    RemovePreview,
    RemoveRevision,
    SweepEndpoints,
    WithdrawAddress,
)
from slipway_operator.render import workload
from slipway_operator.render.workload import Owner, ServerImage
from slipway_operator.shell.observe import Snapshot

Object = dict[str, Any]


class Actor:
    """Writes the objects of ModelDeployments; every write may be repeated."""

    def __init__(self, client: KubeClient, *, server: ServerImage) -> None:
        self._client = client
        self._server = server

    async def act(self, snapshot: Snapshot, actions: tuple[Action, ...]) -> None:
        """Carry actions out in their order; raises `ApiError`."""
        owner = workload.owner_of(snapshot.observation.deployment)
        templates = dict(snapshot.templates)
        for action in actions:
            match action:
                case RecordRevision(revision, number, identity):
                    kept = self._kept(snapshot, revision, identity)
                    templates[revision] = kept.template
                    body = workload.controller_revision(owner, revision, number=number, kept=kept)
                    await self._client.apply(kinds.CONTROLLER_REVISIONS, body)
                case RecordDigest(revision, digest):
                    await self._record_digest(owner, revision, digest)
                case EnsureWorkload(revision, replicas):
                    await self._ensure(owner, revision, templates[revision], replicas=replicas)
                case RemoveRevision(revision):
                    await self._remove(owner, revision)
                case PublishAddress(port, addresses):
                    body = workload.endpoint_slice(owner, port, addresses)
                    await self._client.apply(kinds.ENDPOINT_SLICES, body)
                    await self._client.apply(kinds.SERVICES, workload.client_service(owner, port))
                case LeadToPods(revision):
                    await self._lead(owner, revision, templates[revision], name=owner.name)
                case LeadPreview(revision):
                    await self._lead(owner, revision, templates[revision], name=owner.preview)
                case RemovePreview():
                    await self._client.delete(
                        kinds.SERVICES, owner.preview, namespace=owner.namespace
                    )
                case WithdrawAddress():
                    await self._client.delete(
                        kinds.ENDPOINT_SLICES, owner.name, namespace=owner.namespace
                    )
                case SweepEndpoints(slices):
                    await self._sweep(owner, slices)
                case _:
                    assert_never(action)

    def _kept(self, snapshot: Snapshot, revision: str, identity: str) -> workload.Snapshot:
        md, pool = snapshot.observation.deployment, snapshot.observation.pool
        assert pool is not None, "a revision is only recorded if its pool is known"
        template = workload.pod_template(md, revision, pool=pool.spec, server=self._server)
        return workload.Snapshot(workload.spec_sections(md.spec), identity, template)

    async def _record_digest(self, owner: Owner, revision: str, digest: str) -> None:
        """The pods' map first: once the record has the digest, more pods may come."""
        await self._client.apply(kinds.CONFIG_MAPS, workload.digest_map(owner, revision, digest))
        await self._client.patch(
            kinds.CONTROLLER_REVISIONS,
            revision,
            body=workload.digest_note(digest),
            namespace=owner.namespace,
        )

    async def _ensure(
        self, owner: Owner, revision: str, template: Object, *, replicas: int
    ) -> None:
        if replicas:
            await self._client.apply(kinds.SERVICES, workload.service(owner, revision))
            budget = workload.disruption_budget(owner, revision)
            await self._client.apply(kinds.DISRUPTION_BUDGETS, budget)
        body = workload.deployment(owner, revision, template=template, replicas=replicas)
        await self._client.apply(kinds.DEPLOYMENTS, body)

    async def _lead(self, owner: Owner, revision: str, template: Object, *, name: str) -> None:
        body = workload.service_of_pods(owner, revision, name=name, template=template)
        await self._client.apply(kinds.SERVICES, body)

    async def _sweep(self, owner: Owner, slices: tuple[str, ...]) -> None:
        """The Endpoints object first: a Service without selector gets a slice that mirrors it."""
        await self._client.delete(kinds.ENDPOINTS, owner.name, namespace=owner.namespace)
        for name in slices:
            await self._client.delete(kinds.ENDPOINT_SLICES, name, namespace=owner.namespace)

    async def _remove(self, owner: Owner, revision: str) -> None:
        for kind in (
            kinds.DEPLOYMENTS,
            kinds.SERVICES,
            kinds.DISRUPTION_BUDGETS,
            kinds.CONFIG_MAPS,
            kinds.CONTROLLER_REVISIONS,
        ):
            await self._client.delete(kind, revision, namespace=owner.namespace)
