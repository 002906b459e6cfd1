"""Access logs of the routers, record by record: attempts for the guard, answers for everybody.

Envoy sends two logs. `attempts` (the router filter's upstream log) has one record when an attempt
begins and one when it ends: failures that a fallback hid from the client are only here. `answers`
(the connection manager's log) has one record per client request. Both are parsed once, here;
nothing is judged and nothing kept.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

import grpc
from envoy.data.accesslog.v3 import accesslog_pb2
from envoy.service.accesslog.v3 import als_pb2

from slipway_api import names
from slipway_operator.adapters.als_cuts import ClientCuts
from slipway_operator.engine.attempts import Attempt
from slipway_operator.render import envoy_names
from slipway_operator.render.envoy_listener import LOG_ATTEMPTS

_GRPC_STATUS: Final = "grpc-status"
CLUSTERS_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client got. `config_hash` is the configuration that chose the revision.

    `revision` is the one that was tried last, None if the router answered by itself. `is_probe`:
    somebody asked for the configuration. `is_static`: no revision could be reached, so that it is
    no good answer whatever its status. `began_at_s` is Unix time.
    """

    namespace: str
    deployment: str
    router: str
    began_at_s: float
    duration_s: float
    config_hash: str
    revision: str | None
    http_status: int
    grpc_status: int | None
    attempt_count: int
    is_cut_by_client: bool
    is_probe: bool
    is_static: bool


class AccessLogServer:
    """Serves `StreamAccessLogs`; callbacks run on the event loop and must be quick."""

    def __init__(
        self, on_attempt: Callable[[Attempt], None], on_answer: Callable[[Answer], None]
    ) -> None:
        self._on_attempt = on_attempt
        self._on_answer = on_answer
        self._last_seen_s: dict[str, float] = {}
        self._clusters = Clusters()
        self._cuts = ClientCuts()
        self._timer: asyncio.TimerHandle | None = None

    def last_seen(self, router: str) -> float | None:
        """Tell when the router's last records came, by the monotonic clock.

        No traffic sends no records: a probe of `/.slipway/config` is a request that is logged, so
        a router that is probed and stays silent has lost its log.
        """
        return self._last_seen_s.get(router)

    async def stream(
        self,
        messages: AsyncIterator[als_pb2.StreamAccessLogsMessage],
        context: grpc.aio.ServicerContext[  # noqa: ARG002  as gRPC calls it
            als_pb2.StreamAccessLogsMessage, als_pb2.StreamAccessLogsResponse
        ],
    ) -> als_pb2.StreamAccessLogsResponse:
        """Take in one log of one worker of one router."""
        router, is_attempts = "", False
        async for message in messages:
            if message.HasField("identifier"):  # in the first message only
                router = message.identifier.node.id
                is_attempts = message.identifier.log_name == LOG_ATTEMPTS
            now_s = time.monotonic()
            self._last_seen_s[router] = now_s
            for entry in message.http_logs.log_entry:
                if is_attempts:
                    self._take_attempt(entry, router, now_s)
                else:
                    self._take_answer(entry, router, now_s)
            self._release_held()
        return als_pb2.StreamAccessLogsResponse()

    def _take_attempt(
        self, entry: accesslog_pb2.HTTPAccessLogEntry, router: str, now_s: float
    ) -> None:
        attempt = parse_attempt(entry, router, self._clusters)
        if attempt is None:
            return
        if may_be_cut_by_client(attempt, entry):
            self._cuts.hold((router, entry.request.request_id), attempt, now_s)
        else:
            self._on_attempt(attempt)

    def _take_answer(
        self, entry: accesslog_pb2.HTTPAccessLogEntry, router: str, now_s: float
    ) -> None:
        answer = parse_answer(entry, router, self._clusters)
        if answer is None:
            return
        if answer.is_cut_by_client:
            self._cuts.client_left((router, entry.request.request_id), now_s)
        self._on_answer(answer)

    def _release_held(self) -> None:
        now_s = time.monotonic()
        for attempt in self._cuts.release(now_s):
            self._on_attempt(attempt)
        due_at_s = self._cuts.due_at_s
        if due_at_s is not None and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, due_at_s - now_s), self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._release_held()


class Clusters:
    """Parsed names of clusters: a few names come in thousands of records."""

    def __init__(self) -> None:
        self._parsed: dict[str, envoy_names.ClusterName | None] = {}

    def parse(self, name: str) -> envoy_names.ClusterName | None:
        """Parse a name, or remember it."""
        try:
            return self._parsed[name]
        except KeyError:
            if len(self._parsed) >= CLUSTERS_KEPT:
                self._parsed.clear()
            cluster = self._parsed[name] = envoy_names.parse(name)
            return cluster


def parse_attempt(
    entry: accesslog_pb2.HTTPAccessLogEntry, router: str, clusters: Clusters
) -> Attempt | None:
    """Turn a record of the `attempts` log into an attempt.

    None where no pod was tried: the cluster is not ours, it had no pod, or so many copies were
    under way that this one was dropped. A copy is an attempt of a request of its own: its failure
    leads to no retry.
    """
    common = entry.common_properties
    cluster = clusters.parse(common.upstream_cluster)
    host = common.upstream_remote_address.socket_address.address
    if cluster is None or not host or common.response_flags.upstream_overflow:
        return None
    start = common.start_time
    is_end = common.access_log_type != accesslog_pb2.AccessLogType.UpstreamPoolReady
    took = common.duration
    response = entry.response
    request, copy_of = entry.request.request_id, ""
    if envoy_names.is_mirror(common.upstream_cluster):
        request, copy_of = f"{request}~mirror", request
    return Attempt(
        namespace=cluster.namespace,
        deployment=cluster.name,
        revision=cluster.revision,
        key=f"{request}@{start.seconds}.{start.nanos:09}",
        router=router,
        host=host,
        is_grpc=cluster.protocol == "grpc",
        began_at_s=start.seconds + start.nanos / 1e9,
        duration_s=took.seconds + took.nanos / 1e9 if is_end else None,
        http_status=response.response_code.value,
        grpc_status=_grpc_status(response) if cluster.protocol == "grpc" else None,
        has_retry_after="retry-after" in response.response_headers,
        is_cut_by_client=False,  # this log cannot tell, see `als_cuts`
        request=request,
        copy_of=copy_of,
    )


def may_be_cut_by_client(attempt: Attempt, entry: accesslog_pb2.HTTPAccessLogEntry) -> bool:
    """Tell an attempt that has to wait for the client's own record.

    Either it was neither answered nor broken nor late by its own limit: its client went away, or
    the time for the whole request was over. Or the pod says DEADLINE_EXCEEDED: a gRPC server keeps
    to the client's `grpc-timeout`, so its answer and the client's reset cross on the way.
    """
    if attempt.grpc_status == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]:
        return True
    common = entry.common_properties
    return (
        attempt.http_status == 0
        and common.access_log_type == accesslog_pb2.AccessLogType.UpstreamEnd
        and not common.HasField("response_flags")
    )


def parse_answer(
    entry: accesslog_pb2.HTTPAccessLogEntry, router: str, clusters: Clusters
) -> Answer | None:
    """Turn a record of the `answers` log into an answer; None if no route of ours was taken."""
    common = entry.common_properties
    namespace, separator, deployment = common.route_name.partition("/")
    if not separator:
        return None
    response = entry.response
    cluster = clusters.parse(common.upstream_cluster)
    return Answer(
        namespace=namespace,
        deployment=deployment,
        router=router,
        began_at_s=common.start_time.seconds + common.start_time.nanos / 1e9,
        duration_s=common.duration.seconds + common.duration.nanos / 1e9,
        config_hash=response.response_headers.get(names.HEADER_CONFIG, ""),
        revision=cluster.revision if cluster is not None else None,
        http_status=response.response_code.value,
        grpc_status=_grpc_status(response),
        attempt_count=common.upstream_request_attempt_count,
        is_cut_by_client=_is_cut_by_client(common),
        is_probe=entry.request.path == names.CONFIG_PATH,
        is_static=names.HEADER_STATIC in response.response_headers,
    )


def _grpc_status(response: accesslog_pb2.HTTPResponseProperties) -> int | None:
    """Read grpc-status; a call that failed at once has it in its headers, not in trailers."""
    text = response.response_trailers.get(_GRPC_STATUS)
    if text is None:
        text = response.response_headers.get(_GRPC_STATUS)
    return int(text) if text is not None and text.isdecimal() else None


def _is_cut_by_client(common: accesslog_pb2.AccessLogCommon) -> bool:
    if not common.HasField("response_flags"):
        return False
    flags = common.response_flags
    return bool(flags.downstream_connection_termination or flags.downstream_remote_reset)
