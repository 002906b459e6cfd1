"""The composition root: constructs everything and wires it by constructor arguments."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from slipway_api import metrics as contract
from slipway_server.attempts import AccessLog, Attempts
from slipway_server.core.batching import Entry
from slipway_server.core.dataplane import Dataplane, Observe
from slipway_server.core.registry import Model, Registry
from slipway_server.core.scheduler import Limits
from slipway_server.core.workers import Workers
from slipway_server.distributions.exposition import Distributions
from slipway_server.lifecycle import Lifecycle, stop_on_signals
from slipway_server.metrics import Metrics
from slipway_server.ports import Ports
from slipway_server.protection import Protection, protection
from slipway_server.settings import AccessLogFormat, Settings
from slipway_server.starting import ModelStart
from slipway_server.storage.fetch import Progress, Silence
from slipway_server.storage.patience import Patience
from slipway_server.switchboard import Switchboard
from slipway_server.watched import watch

_SILENCE: Final = Silence()


@dataclass(frozen=True, slots=True)
class Served:
    """Models that are served, and where."""

    models: tuple[Model, ...]
    host: str
    http_port: int
    grpc_port: int
    admin_port: int | None
    guards: Protection


async def serve(
    settings: Settings,
    *,
    announce: Callable[[Served], None] | None = None,
    progress: Progress = _SILENCE,
) -> None:
    """Run a server from start to drained; LoadError when its models cannot be served.

    `announce` is told once they are; lines for a pod's log by default. `progress` is told of
    downloads.
    """
    stop = stop_on_signals()
    workers = Workers(
        asyncio.get_running_loop(),
        thread_count=settings.concurrency,
    )
    registry = Registry(is_strict=settings.strict_readiness)
    collectors = _collectors()
    metrics = Metrics(collectors, _labels(settings))
    limits = Limits(settings.max_batch_size, settings.queue_max, settings.batch_delay_s)
    observe = _observer(metrics, _distributions(settings, registry, collectors))
    dataplane = Dataplane(registry, workers, limits, observe=observe)
    _watch(metrics, dataplane)
    _watch_sizes(metrics, registry)
    metrics.show_providers(registry.all)
    attempts = Attempts(metrics, _access_log(settings), known=dataplane.named)
    patience = Patience(say=_say, progress=progress)
    models = ModelStart(settings, registry, dataplane, gone=metrics.forget, patience=patience)
    guards = protection(settings, say=_say)
    ports = Ports(settings, dataplane, attempts, collectors=collectors, guarded=guards)
    http = ports.http(settings.host, settings.http_port)
    grpc = ports.grpc(settings.host, settings.grpc_port)
    switchboard = Switchboard(
        host=settings.host, port=settings.any_port, http_port=http.port, grpc_port=grpc.port
    )
    admin = ports.admin(models.control)
    if announce is None:
        also = f", admin {admin.number}" if admin else ""
        _say(f"listening: HTTP {http.port}, gRPC {grpc.port}, either {switchboard.port}{also}")

    async def bring_up() -> None:
        await models.bring_up()
        where = (settings.host, http.port, grpc.port, admin.number if admin else None)
        (announce or _announce)(Served(registry.all(), *where, guards))

    more = [admin] if admin else []
    life = Lifecycle(dataplane, registry, http=http, grpc=grpc, either=switchboard, more=more)
    watching = asyncio.create_task(watch(guards.files))
    await life.run(
        bring_up, stop, later=ports.prepare, grace_s=settings.grace_s, drain_s=settings.drain_s
    )
    watching.cancel()


def _announce(served: Served) -> None:
    for model in served.models:
        _say(f"serving model '{model.name}' {model.version}, digest {model.digest}")


def _say(line: str) -> None:
    """A line for the pod's log; standard output belongs to the access log."""
    print(line, file=sys.stderr, flush=True)


def _distributions(
    settings: Settings, registry: Registry, collectors: CollectorRegistry
) -> Distributions | None:
    if not settings.sampled_rows_per_s:
        return None
    return Distributions(
        collectors,
        _labels(settings),
        models=registry.all,
        rows_per_s=settings.sampled_rows_per_s,
        later=asyncio.get_running_loop().call_soon,
    )


def _observer(metrics: Metrics, distributions: Distributions | None) -> Observe:
    def observe(model: Model, runs: Sequence[Entry], batch: Sequence[Entry]) -> None:
        metrics.ran(model, runs)
        if distributions is not None:
            distributions.ran(model, batch)

    return observe


def _collectors() -> CollectorRegistry:
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return registry


def _labels(settings: Settings) -> dict[str, str]:
    return {
        "namespace": settings.namespace,
        "deployment": settings.deployment,
        "revision": settings.revision,
    }


def _watch(metrics: Metrics, dataplane: Dataplane) -> None:
    metrics.watch(
        contract.SERVER_WAITING,
        help_text="Inference requests that wait for a thread.",
        read=lambda: {name: each.waiting_count for name, each in dataplane.queues().items()},
    )
    metrics.watch(
        contract.SERVER_WAITING_ROWS,
        help_text="Rows of the inference requests that wait for a thread.",
        read=lambda: {name: each.waiting_rows for name, each in dataplane.queues().items()},
    )
    metrics.watch(
        contract.SERVER_RUNNING,
        help_text="Inferences that run, hanging ones included.",
        read=lambda: {name: each.running_count for name, each in dataplane.queues().items()},
    )


def _watch_sizes(metrics: Metrics, registry: Registry) -> None:
    metrics.watch(
        contract.SERVER_MODEL_BYTES,
        help_text="Size of the model's files.",
        read=lambda: {(each.name, each.version): each.size_bytes for each in registry.all()},
    )


def _access_log(settings: Settings) -> AccessLog | None:
    match settings.access_log:
        case AccessLogFormat.OFF:
            return None
        case AccessLogFormat.JSON:
            return AccessLog(settings.revision)
