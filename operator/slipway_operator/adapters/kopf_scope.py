"""One run of kopf as an event shell: which kinds, which labels, which settings.

kopf lists and watches; its handlers turn an object into a key and hand it on. Nothing of kopf's
own bookkeeping is used: no finalizers, no annotations, no posted events, no state handlers.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import kopf

from slipway_operator.adapters.event_source import Key
from slipway_operator.adapters.kube_resources import Resource
from slipway_operator.adapters.kubeconfig import ClusterAccess

BACKOFF_S_FIRST: Final = 0.25
BACKOFF_S_MAX: Final = 5.0
RELOGIN_PAUSE_S: Final = 2.0
START_S_MAX: Final = 15.0  # until every kind has its watcher; a quarter of a second is usual
CHECK_INTERVAL_S: Final = 2.0
END_S: Final = 1.0  # kopf ends in 0.1 s unless a task hangs


@dataclass(frozen=True, slots=True)
class Watched:
    """One kind to watch. `key_of` gives None for an object that is nobody's.

    `label_selector` is evaluated by the server. `ignores_status`: changes that touch neither spec
    nor annotations nor the deletion mark are not passed on.
    """

    resource: Resource
    key_of: Callable[[Mapping[str, Any]], Key | None]
    label_selector: str = ""
    ignores_status: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """What one run of kopf watches; `namespace` None is the whole cluster."""

    name: str
    namespace: str | None
    watched: tuple[Watched, ...]


class Backoffs:
    """Endless pauses between tries of one request: kopf gives up and ends with a finite list.

    A class and not a generator, because kopf starts the iteration anew for each request.
    """

    def __iter__(self) -> Iterator[float]:
        pause_s = BACKOFF_S_FIRST
        while True:
            yield pause_s * random.uniform(0.5, 1)
            pause_s = min(2 * pause_s, BACKOFF_S_MAX)


def settings_of(scope: Scope) -> kopf.OperatorSettings:
    """Settings that survive refusals, outages and dead connections (the fault tests hold them)."""
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.process.ultimate_exiting_timeout = None  # it would kill the whole process
    settings.networking.error_backoffs = Backoffs()
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 5
    settings.watching.connect_timeout = 5
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.reconnect_backoff = 0.5
    settings.watching.chunk_size = 500
    settings.queueing.idle_timeout = 1.0  # one task per object stays no longer than this
    settings.queueing.exit_timeout = 0.1
    for watched in scope.watched:
        if watched.label_selector:
            resource = watched.resource
            address = (resource.group, resource.version, resource.plural)
            settings.watching.label_selectors[address] = watched.label_selector
    return settings


class Login:
    """Gives kopf connections, and closes them in the end.

    The token is read for each request, so that its rotation goes unnoticed. kopf logs in again
    when it meets 401 and would do so hundreds of times a second: here not before a pause.
    """

    def __init__(self, access: ClusterAccess) -> None:
        self._access = access
        self._sessions: list[aiohttp.ClientSession] = []

    async def __call__(self, **_: Any) -> kopf.AiohttpSession:
        """Open a new connection pool; kopf has closed the one before it."""
        if self._sessions:
            await asyncio.sleep(RELOGIN_PAUSE_S)
        connector = aiohttp.TCPConnector(limit=0, ssl=self._access.ssl_context())
        session = aiohttp.ClientSession(connector=connector, middlewares=(self._authorize,))
        self._sessions = [session]
        return kopf.AiohttpSession(
            server=self._access.server,
            default_namespace=self._access.namespace,
            aiohttp_session=session,
        )

    async def close(self) -> None:
        """Break everything that still reads or waits."""
        for session in self._sessions:
            await session.close()

    async def _authorize(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if token := self._access.bearer_token():
            request.headers["Authorization"] = f"Bearer {token}"
        return await handler(request)


def registry_of(
    scope: Scope, *, login: Login, emit: Callable[[Key], None]
) -> kopf.OperatorRegistry:
    """Handlers that turn events into keys; `emit` is called in kopf's thread."""
    registry = kopf.OperatorRegistry()

    async def open_session(**context: Any) -> kopf.AiohttpSession:
        return await login(**context)

    kopf.on.login(registry=registry)(open_session)
    for watched in scope.watched:
        resource = watched.resource
        handler = _handler_of(watched, emit)
        kopf.on.event(
            resource.group, resource.version, resource.plural, registry=registry, id=resource.plural
        )(handler)
    return registry


class KopfIdleError(Exception):
    """kopf runs but does not watch everything it should."""


async def run(
    scope: Scope, *, access: ClusterAccess, emit: Callable[[Key], None], stop: asyncio.Event
) -> None:
    """Run kopf until `stop` is set or it no longer does its work; then raise what went wrong.

    Two things that kopf promises are checked. It takes a 404 while it looks for its kinds as "no
    such kind" and then waits for ever: so each kind must have its watcher. It waits without limit
    for tasks that it has cancelled, and now and then one does not end: so this waits `END_S` and
    leaves the rest to the caller, who throws the event loop away.
    """
    login = Login(access)
    ours = asyncio.all_tasks()
    try:
        roots = await kopf.spawn_tasks(
            registry=registry_of(scope, login=login, emit=emit),
            settings=settings_of(scope),
            standalone=True,
            # kopf would make one from the user's name, which a container's bare uid has not.
            identity=f"slipway-{scope.name}",  # type: ignore[arg-type]  # a NewType kopf hides
            clusterwide=scope.namespace is None,
            namespaces=[] if scope.namespace is None else [scope.namespace],
            stop_flag=stop,
        )
        ending = asyncio.create_task(kopf.run_tasks(roots, ignored=ours))
        idle = await _first_end(roots, scope)
        stop.set()
        await asyncio.wait([ending], timeout=END_S)
    finally:
        await login.close()
    for task in (ending, *roots):
        if task.done() and not task.cancelled() and (error := task.exception()):
            raise error
    if idle is not None:
        raise idle


async def _first_end(roots: Collection["asyncio.Task[Any]"], scope: Scope) -> KopfIdleError | None:
    """Wait until one of kopf's tasks ends or a kind has no watcher."""
    loop = asyncio.get_running_loop()
    watching_by_s = loop.time() + START_S_MAX
    while True:
        ended, _ = await asyncio.wait(
            roots, timeout=CHECK_INTERVAL_S, return_when=asyncio.FIRST_COMPLETED
        )
        if ended:
            return None
        names = {task.get_name().partition("@")[0] for task in asyncio.all_tasks()}
        unwatched = [each for each in scope.watched if _watcher_name(each.resource) not in names]
        if unwatched and loop.time() > watching_by_s:
            kinds = ", ".join(each.resource.plural for each in unwatched)
            return KopfIdleError(f"nobody watches {kinds}")


def _watcher_name(resource: Resource) -> str:
    """Name the task in which kopf watches a kind (kopf._core.reactor.orchestration)."""
    return f"watcher for {resource.plural}.{resource.version}.{resource.group}".rstrip(".")


def _handler_of(watched: Watched, emit: Callable[[Key], None]) -> Callable[..., Any]:
    fingerprints: dict[str, object] = {}

    async def handle(event: Mapping[str, Any], **_: Any) -> None:
        body = event["object"]
        if watched.ignores_status and not _is_news(event["type"], body, fingerprints):
            return
        if (key := watched.key_of(body)) is not None:
            emit(key)

    return handle


def _is_news(kind: str | None, body: Mapping[str, Any], fingerprints: dict[str, object]) -> bool:
    """Tell whether more than the status changed; remembers one fingerprint per living object."""
    metadata = body["metadata"]
    uid = metadata["uid"]
    if kind == "DELETED":
        fingerprints.pop(uid, None)
        return True
    annotations = metadata.get("annotations") or {}
    fingerprint = (
        metadata.get("generation"),
        metadata.get("deletionTimestamp"),
        tuple(sorted(annotations.items())),
    )
    before = fingerprints.get(uid)
    fingerprints[uid] = fingerprint
    return kind != "MODIFIED" or fingerprint != before
