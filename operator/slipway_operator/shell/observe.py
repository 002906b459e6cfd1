"""Observe: one look at everything about one ModelDeployment, from the API server itself.

No cache decides: what is read here is what is decided upon. Readings are translated, not judged.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import ValidationError

from slipway_api import names
from slipway_api.compute_pool import ComputePool
from slipway_api.model_deployment import Metadata, ModelDeployment
from slipway_api.rules import describe
from slipway_api.status import ModelDeploymentStatus
from slipway_operator.adapters import kube_resources as kinds
from slipway_operator.adapters.kube import KubeClient
from slipway_operator.adapters.kube_resources import Resource
from slipway_operator.adapters.model_probe import ModelProbe
from slipway_operator.engine import orders, severance
from slipway_operator.engine.facts import Observation, Routing, Workload
from slipway_operator.engine.room import Node
from slipway_operator.engine.verdicts import GuardView
from slipway_operator.shell import readings
from slipway_operator.shell.guards import Guards
from slipway_operator.shell.ports import PortBook
from slipway_operator.shell.routing import RoutingTable

Object = dict[str, Any]
Owner = tuple[str, str]

NODES_FRESH_S: Final = 1.0
REVISION_KINDS: Final = (kinds.SERVICES, kinds.DEPLOYMENTS, kinds.CONTROLLER_REVISIONS)


class LeftoverError(Exception):
    """Objects of an earlier ModelDeployment of this name are still being collected: try later."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A ModelDeployment that breaks a rule newer than itself; `message` names field and rule."""

    metadata: Metadata
    status: ModelDeploymentStatus
    message: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An observation with what only the shell needs: pod templates by revision, and fences."""

    observation: Observation
    templates: dict[str, Object]
    resource_version: str

    @property
    def owner(self) -> Owner:
        metadata = self.observation.deployment.metadata
        return metadata.namespace, metadata.name


class Observer:
    """Reads one ModelDeployment and its surroundings; belongs to one event loop."""

    def __init__(
        self,
        client: KubeClient,
        *,
        table: RoutingTable,
        guards: Guards,
        ports: PortBook,
        models: ModelProbe,
        is_detaching: Callable[[], bool],
    ) -> None:
        self._client, self._models = client, models
        self._is_detaching = is_detaching
        self._table, self._guards, self._ports = table, guards, ports
        self._nodes: tuple[float, tuple[Object, ...]] = (float("-inf"), ())
        self._silent: dict[Owner, frozenset[str]] = {}  # hosts that took no connection

    async def look(self, owner: Owner) -> Snapshot | Unreadable | None:
        """Look now; None if there is no such ModelDeployment, or it is being deleted."""
        namespace, name = owner
        found = await self._client.find(kinds.MODEL_DEPLOYMENTS, name, namespace=namespace)
        if found is None or found["metadata"].get("deletionTimestamp"):
            self._silent.pop(owner, None)
            return None
        try:
            md = ModelDeployment.model_validate(found)
        except ValidationError as error:
            return _unreadable(found, error)
        listed = await self._listed(md)
        children = _children(md, listed)
        pool, conflicts, ready_nodes, nodes = await asyncio.gather(
            self._pool(md.spec.compute.pool),
            self._conflicts(md, children),
            self._ready_nodes(children[kinds.PODS]),
            self._offers(md),
        )
        port, published = self._address(owner, children[kinds.ENDPOINT_SLICES])
        revisions = children[kinds.CONTROLLER_REVISIONS]
        workloads = readings.workloads(
            children[kinds.DEPLOYMENTS],
            children[kinds.SERVICES],
            children[kinds.PODS],
            ready_nodes=ready_nodes,
        )
        for workload in workloads:
            self._guards.tell_pods(owner, workload.pods)
        guard = self._guards.view(owner)
        reached = await self._with_reach(md, workloads, guard)
        records = readings.records(revisions)
        templates = {readings.revision_of(item): item["data"]["template"] for item in revisions}
        open_ = {record.revision for record in records if record.digest is None}
        observation = Observation(
            deployment=md,
            pool=pool,
            records=records,
            workloads=await self._with_digests(reached, open_, templates),
            conflicts=conflicts,
            routing=self._table.view(owner, port=port, published=published),
            guard=guard,
            front=readings.front(name, children[kinds.SERVICES], listed[kinds.ENDPOINT_SLICES]),
            preview=readings.preview(name, children[kinds.SERVICES]),
            is_detaching=self._is_detaching(),
            nodes=nodes,
        )
        return Snapshot(observation, templates, found["metadata"]["resourceVersion"])

    def refresh(self, snapshot: Snapshot) -> tuple[Routing, GuardView | None]:
        """Look again at what needs no API server: routers and guard."""
        before = snapshot.observation.routing
        routing = self._table.view(snapshot.owner, port=before.port, published=before.published)
        return routing, self._guards.view(snapshot.owner)

    async def _listed(self, md: ModelDeployment) -> dict[Resource, list[Object]]:
        """List everything with the deployment's label, whosever it is."""
        selector = f"{names.LABEL_DEPLOYMENT}={md.metadata.name}"
        wanted = (
            kinds.DEPLOYMENTS,
            kinds.SERVICES,
            kinds.PODS,
            kinds.CONTROLLER_REVISIONS,
            kinds.ENDPOINT_SLICES,
        )
        listings = await asyncio.gather(
            *(
                self._client.list(kind, namespace=md.metadata.namespace, label_selector=selector)
                for kind in wanted
            )
        )
        return {kind: list(listing.items) for kind, listing in zip(wanted, listings, strict=True)}

    async def _conflicts(
        self, md: ModelDeployment, children: dict[Resource, list[Object]]
    ) -> tuple[str, ...]:
        """Find objects of names that we want and that are not ours."""
        name, targets = md.metadata.name, sorted(orders.names_at_stake(md))
        has_preview = md.spec.strategy.blue_green is not None
        previews = [(kinds.SERVICES, name + names.PREVIEW_SUFFIX)] if has_preview else []
        wanted = (
            (kinds.SERVICES, name),
            (kinds.ENDPOINT_SLICES, name),
            *previews,
            *((kind, target) for target in targets for kind in REVISION_KINDS),
        )
        missing = [
            (kind, wish)
            for kind, wish in wanted
            if not any(item["metadata"]["name"] == wish for item in children[kind])
        ]
        found = await asyncio.gather(
            *(
                self._client.find(kind, wish, namespace=md.metadata.namespace)
                for kind, wish in missing
            )
        )
        strangers = []
        for (kind, wish), item in zip(missing, found, strict=True):
            if item is None or readings.is_owned(item, md.metadata.uid):
                continue
            if readings.is_leftover(item, name):
                where = f"{md.metadata.namespace}/{wish}"
                raise LeftoverError(f"{kind.kind} {where} of an earlier {name} is not gone yet")
            strangers.append(f"{kind.kind} {md.metadata.namespace}/{wish}")
        return tuple(strangers)

    async def _with_reach(
        self, md: ModelDeployment, workloads: tuple[Workload, ...], guard: GuardView | None
    ) -> tuple[Workload, ...]:
        """Try who takes connections, but only if a candidate's failures may be its network's."""
        owner = (md.metadata.namespace, md.metadata.name)
        pair = (md.status.candidate, md.status.stable)
        before = self._silent.pop(owner, frozenset())
        hosts = sorted(severance.suspects(workloads, guard, pair=pair, before=before))
        reached = await asyncio.gather(*map(self._models.is_reached, hosts))
        silent = frozenset(host for host, is_it in zip(hosts, reached, strict=True) if not is_it)
        if silent:
            self._silent[owner] = silent
        return severance.sever(workloads, silent, pair=pair)

    async def _with_digests(
        self, workloads: tuple[Workload, ...], open_: set[str], templates: dict[str, Object]
    ) -> tuple[Workload, ...]:
        """Ask the first ready pod of each revision whose bytes are not pinned what it loaded."""

        async def ask(workload: Workload) -> Workload:
            if workload.revision not in open_ or not workload.endpoints:
                return workload
            model = readings.model_of(templates[workload.revision])
            told = await self._models.digest(workload.endpoints[0], model)
            return replace(workload, digest=told)

        return tuple(await asyncio.gather(*map(ask, workloads)))

    async def _pool(self, name: str) -> ComputePool | None:
        found = await self._client.find(kinds.COMPUTE_POOLS, name)
        return None if found is None else ComputePool.model_validate(found)

    async def _ready_nodes(self, pods: list[Object]) -> frozenset[str] | None:
        """Read the nodes, but only if a pod's trouble may be theirs."""
        if not readings.needs_nodes(pods):
            return None
        return readings.ready_nodes(await self._read_nodes())

    async def _offers(self, md: ModelDeployment) -> tuple[Node, ...] | None:
        """Read what nodes offer, but only if something is to be begun on them."""
        return None if orders.is_begun(md) else readings.nodes(await self._read_nodes())

    async def _read_nodes(self) -> tuple[Object, ...]:
        read_s, items = self._nodes
        if time.monotonic() - read_s > NODES_FRESH_S:
            items = tuple((await self._client.list(kinds.NODES)).items)
            self._nodes = (time.monotonic(), items)
        return items

    def _address(self, owner: Owner, slices: list[Object]) -> tuple[int | None, tuple[str, ...]]:
        """Read port and router addresses from the deployment's own EndpointSlice."""
        own = next((item for item in slices if item["metadata"]["name"] == owner[1]), None)
        published: tuple[str, ...] = ()
        if own is not None and own.get("ports"):
            self._ports.record(owner, int(own["ports"][0]["port"]))
            published = tuple(
                sorted(a for endpoint in own.get("endpoints") or () for a in endpoint["addresses"])
            )
        return self._ports.port(owner), published


def _children(
    md: ModelDeployment, listed: dict[Resource, list[Object]]
) -> dict[Resource, list[Object]]:
    """Pick what was made for this ModelDeployment."""
    found = {
        kind: items
        if kind is kinds.PODS  # they belong to ReplicaSets
        else [item for item in items if readings.is_owned(item, md.metadata.uid)]
        for kind, items in listed.items()
    }
    mine = {readings.revision_of(item) for item in found[kinds.DEPLOYMENTS]}
    found[kinds.PODS] = [pod for pod in found[kinds.PODS] if readings.revision_of(pod) in mine]
    return found


def _unreadable(found: Object, error: ValidationError) -> Unreadable:
    """Read what the operator itself wrote; raises if that breaks a rule too."""
    broken = describe(error)
    return Unreadable(
        Metadata.model_validate(found["metadata"]),
        ModelDeploymentStatus.model_validate(found.get("status") or {}),
        f"{broken}. Nothing of it is carried out until the specification is corrected",
    )
