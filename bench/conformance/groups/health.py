"""Live, ready, model ready: statuses as every version of the protocol has them, and bodies."""

from collections.abc import Mapping
from typing import Any, Final

from bench.conformance import expect
from bench.conformance.cases import Group
from bench.conformance.subject import UNKNOWN_MODEL, Subject

_HEALTH: Final = Group("health", section="OIP inference_rest.md, Health/Readiness/Liveness Probes")


async def _ask(subject: Subject, path: str) -> int:
    return (await subject.get(path)).status


@_HEALTH.case("a server that works is live")
async def live(subject: Subject) -> None:
    """The status is all that an earlier version of the protocol had."""
    expect.equal(await _ask(subject, "/v2/health/live"), 200, what="status")


@_HEALTH.case("a server with its models loaded is ready")
async def ready(subject: Subject) -> None:
    expect.equal(await _ask(subject, "/v2/health/ready"), 200, what="status")


@_HEALTH.case("a loaded model is ready")
async def model_ready(subject: Subject) -> None:
    expect.equal(await _ask(subject, f"{subject.any_model().path}/ready"), 200, what="status")


@_HEALTH.case("a version of a loaded model is ready")
async def version_ready(subject: Subject) -> None:
    path = f"{subject.any_model().version_path()}/ready"
    expect.equal(await _ask(subject, path), 200, what="status")


@_HEALTH.case("an unknown model is not ready")
async def unknown_model(subject: Subject) -> None:
    status = await _ask(subject, f"/v2/models/{UNKNOWN_MODEL}/ready")
    expect.true(400 <= status < 500, what="status 4xx", got=status)


async def _body(subject: Subject, path: str) -> Mapping[str, Any]:
    return expect.fields(await subject.get(path))


@_HEALTH.case("the answer to live says so", section="OIP inference_rest.md, Server Live")
async def live_body(subject: Subject) -> None:
    expect.equal((await _body(subject, "/v2/health/live")).get("live"), True, what="'live'")


@_HEALTH.case("the answer to ready says so", section="OIP inference_rest.md, Server Ready")
async def ready_body(subject: Subject) -> None:
    """The page shows `live` where KServe's OpenAPI has `ready`: either will do."""
    found = await _body(subject, "/v2/health/ready")
    is_said = found.get("ready", found.get("live")) is True
    expect.true(is_said, what="'ready' to be true", got=found)


@_HEALTH.case(
    "the answer to model ready names the model", section="OIP inference_rest.md, Model Ready"
)
async def model_ready_body(subject: Subject) -> None:
    model = subject.any_model()
    found = await _body(subject, f"{model.path}/ready")
    expect.equal(found.get("name"), model.name, what="'name'")
    expect.equal(found.get("ready"), True, what="'ready'")
