"""Looks at a server, then runs one case after the other against it, each within its time."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import grpc

from bench.conformance import bodies
from bench.conformance.cases import Case
from bench.conformance.expect import Answer, SkippedError, ViolationError, fields
from bench.conformance.models import NAMES, Kind
from bench.conformance.results import Outcome, Report, Result, one_line
from bench.conformance.subject import Model, Server, Subject

CASE_S_MAX: Final = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where the server is and what its models are called; `only` leaves all others out.

    `admin` and `admin_grpc` are where it loads and unloads, if it does.
    """

    url: str
    grpc: str | None = None
    names: Mapping[Kind, str] = field(default_factory=lambda: NAMES)
    only: Kind | None = None
    admin: str | None = None
    admin_grpc: str | None = None


class UnreachableError(Exception):
    """Nothing answers at the target's address."""


async def run(
    target: Target,
    cases: Sequence[Case],
    *,
    case_s_max: float = CASE_S_MAX,
    is_ended_by_ruin: bool = False,
) -> Report:
    """Run all cases, or those up to one that ruins the server if `is_ended_by_ruin`.

    After such a case the models no longer answer a good request over gRPC.
    Raises UnreachableError if there is no server at all.
    """
    # tritonclient's asyncio client over REST leaves connections to the garbage collector, which
    # would be told on the terminal. What matters comes back as results.
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    results: list[Result] = []
    async with _subject(target, case_s_max) as subject:
        for case in cases:
            # Connections of its own: what a server does to the one of a failure that it did not
            # foresee is not the next case's.
            async with _session(case_s_max) as session:
                results.append(await _outcome(case, replace(subject, session=session), case_s_max))
            if is_ended_by_ruin and not await _is_well(subject, case_s_max):
                results[-1] = _ruinous(results[-1])
                break
    return Report(target.url, target.grpc, subject.server, tuple(results))


def _session(timeout_s: float) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout_s))


async def _is_well(subject: Subject, timeout_s: float) -> bool:
    try:
        for kind, model in subject.models.items():
            request = bodies.message(model.name, bodies.inputs_of(kind), is_raw=True)
            await subject.stub.ModelInfer(request, timeout=timeout_s)
    except grpc.aio.AioRpcError:
        return False
    return True


def _ruinous(result: Result) -> Result:
    detail = f"good requests were refused afterwards; {result.detail}".rstrip("; ")
    return replace(result, outcome=Outcome.FAILED, detail=one_line(detail))


@asynccontextmanager
async def _subject(target: Target, timeout_s: float) -> AsyncIterator[Subject]:
    channel = None if target.grpc is None else grpc.aio.insecure_channel(target.grpc)
    try:
        async with _session(timeout_s) as session:
            bare = Subject(
                url=target.url,
                session=session,
                grpc_address=target.grpc,
                channel=channel,
                admin_url=target.admin,
                admin_grpc=target.admin_grpc,
            )
            yield await _looked_at(bare, target)
    finally:
        if channel is not None:
            await channel.close(grace=None)


async def _looked_at(bare: Subject, target: Target) -> Subject:
    try:
        server = _server(await bare.get("/v2"))
        models: dict[Kind, Model] = {}
        absent: dict[Kind, str] = {}
        for kind, name in target.names.items():
            found = await _model(bare, name)
            if target.only not in (None, kind):
                absent[kind] = f"the model {kind} is left out by --only {target.only}"
            elif found is None:
                absent[kind] = f"the server has no model {name}"
            else:
                models[kind] = found
    except (aiohttp.ClientError, OSError) as error:  # a timeout is an OSError
        message = f"{target.url} does not answer: {error or type(error).__name__}"
        raise UnreachableError(message) from error
    return replace(bare, server=server, models=models, absent=absent)


def _server(answer: Answer) -> Server:
    """What the metadata says; a case of its own tells what is wrong with it."""
    try:
        found = fields(answer)
    except ViolationError:
        return Server()
    extensions = found.get("extensions")
    return Server(
        str(found.get("name", "")),
        str(found.get("version", "")),
        tuple(map(str, extensions)) if isinstance(extensions, list) else (),
    )


async def _model(subject: Subject, name: str) -> Model | None:
    """None if the server says that it has no such model; any other trouble is the cases' to tell.

    Which status says so differs between servers: 404 or 400.
    """
    answer = await subject.get(f"/v2/models/{quote(name, safe='')}")
    if 400 <= answer.status < 500:
        return None
    try:
        versions: Any = fields(answer).get("versions")
    except ViolationError:
        versions = None
    return Model(name, tuple(map(str, versions)) if isinstance(versions, list) else ())


async def _outcome(case: Case, subject: Subject, timeout_s: float) -> Result:
    def result(outcome: Outcome, detail: str = "") -> Result:
        return Result(case.name, case.group, outcome, one_line(detail), case.section)

    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            await case.check(subject)
    except SkippedError as reason:
        return result(Outcome.SKIPPED, str(reason))
    except ViolationError as violation:
        return result(Outcome.FAILED, str(violation))
    except Exception as error:  # noqa: BLE001 - whatever a client makes of an answer is the result
        if limit.expired() or isinstance(error, TimeoutError):
            return result(Outcome.FAILED, f"expected an answer within {timeout_s:g} s, got none")
        return result(Outcome.FAILED, f"expected no error, got {type(error).__name__}: {error}")
    return result(Outcome.PASSED)
