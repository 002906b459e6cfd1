"""Triton's further extensions over REST: classes, statistics, configuration, repository index."""

import math
from collections.abc import Mapping
from typing import Any, Final

from bench.conformance import bodies, expect
from bench.conformance.cases import Group
from bench.conformance.expect import SkippedError, ViolationError
from bench.conformance.models import SIGNATURES, Kind
from bench.conformance.subject import UNKNOWN_MODEL, Subject

_CLASSES: Final = Group(
    "classification",
    section="Triton extension_classification.md",
    extension="classification",
    model=Kind.SIMPLE,
)
_STATISTICS: Final = Group(
    "statistics", section="Triton extension_statistics.md", extension="statistics"
)
_CONFIGURATION: Final = Group(
    "model configuration",
    section="Triton extension_model_configuration.md",
    extension="model_configuration",
)
_REPOSITORY: Final = Group(
    "repository index", section="Triton extension_model_repository.md, Index"
)


async def _classes(subject: Subject, count: Any) -> expect.Answer:
    asked = [{"name": "OUTPUT0", "parameters": {"classification": count}}]
    return await subject.infer(Kind.SIMPLE, bodies.in_json(bodies.pair(), outputs=asked))


@_CLASSES.each([1, 3], name=lambda count: f"the {count} highest values of an output")
async def classes(subject: Subject, count: int) -> None:
    """Whether one row keeps its dimension of one depends on how a server batches."""
    found = expect.inferred(await _classes(subject, count)).outputs.get("OUTPUT0")
    values = bodies.results(bodies.pair())[0].values
    highest = sorted(enumerate(values), key=lambda each: -int(each[1]))[:count]
    if found is None:
        raise ViolationError("expected OUTPUT0, got no such output")
    expect.equal(found.datatype, "BYTES", what="datatype")
    expect.equal(math.prod(found.shape), count, what="elements of the shape")
    parts = [str(each).split(":") for each in found.values]
    expect.true(all(len(each) in (2, 3) for each in parts), what="value:index", got=found.values)
    got = [(int(each[1]), float(each[0])) for each in parts]
    expect.equal(got, [(index, float(value)) for index, value in highest], what="classes")


@_CLASSES.case("more classes than there are elements gives all")
async def all_classes(subject: Subject) -> None:
    found = expect.inferred(await _classes(subject, 1000)).outputs
    expect.equal(math.prod(found["OUTPUT0"].shape), 16, what="elements of the shape")


@_CLASSES.case("a number of classes that is no number is refused")
async def wrong_count(subject: Subject) -> None:
    expect.refused(await _classes(subject, "three"))


async def _statistics(subject: Subject, path: str, *, name: str) -> Mapping[str, Any]:
    entries = expect.fields(await subject.get(path)).get("model_stats")
    if not isinstance(entries, list):
        raise ViolationError(f"expected a list of 'model_stats', got {entries!r}")
    for entry in entries:
        if entry.get("name") == name:
            return dict(entry)
    raise ViolationError(f"expected statistics of {name}, got {len(entries)} of others")


def _number(entry: Mapping[str, Any], *path: str) -> int:
    value: Any = entry
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if type(value) is not int:
        raise ViolationError(f"expected an integer in {'.'.join(path)}, got {value!r}")
    return value


@_STATISTICS.each(["of a model", "of a version", "of all"], name=lambda of: f"statistics {of}")
async def statistics(subject: Subject, of: str) -> None:
    model = subject.any_model()
    match of:
        case "of a version":
            path = model.version_path()
        case "of a model":
            path = model.path
        case _:
            path = "/v2/models"
    found = await _statistics(subject, f"{path}/stats", name=model.name)
    for name in ("last_inference", "inference_count", "execution_count"):
        _number(found, name)
    spans = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
    for span in spans:
        for name in ("count", "ns"):
            _number(found, "inference_stats", span, name)
    batches = found.get("batch_stats")
    expect.true(isinstance(batches, list), what="a list of 'batch_stats'", got=batches)


@_STATISTICS.case("successes and failures are counted")
async def counted(subject: Subject) -> None:
    """A request that a server refuses before its model sees it need not count as a failure."""
    model = subject.model(Kind.SIMPLE)
    before = await _statistics(subject, f"{model.path}/stats", name=model.name)
    expect.inferred(await subject.infer(Kind.SIMPLE, bodies.in_json(bodies.pair())))
    after = await _statistics(subject, f"{model.path}/stats", name=model.name)
    for path in (
        ("inference_count",),
        ("execution_count",),
        ("inference_stats", "success", "count"),
    ):
        grown = _number(after, *path) - _number(before, *path)
        expect.equal(grown, 1, what=f"growth of {'.'.join(path)}")


@_STATISTICS.case("statistics of an unknown model are refused")
async def unknown_statistics(subject: Subject) -> None:
    expect.refused(await subject.get(f"/v2/models/{UNKNOWN_MODEL}/stats"))


@_CONFIGURATION.each(Kind, name=lambda kind: f"configuration of the model {kind}")
async def configuration(subject: Subject, kind: Kind) -> None:
    """A batch's size is a dimension of its own only where `max_batch_size` is 0."""
    model = subject.model(kind)
    found = expect.fields(await subject.get(f"{model.path}/config"))
    expect.equal(found.get("name"), model.name, what="'name'")
    is_whole = _number(found, "max_batch_size") == 0
    signature = SIGNATURES[kind]
    for field, specs in (("input", signature.inputs), ("output", signature.outputs)):
        entries = found.get(field)
        expect.true(isinstance(entries, list), what=f"a list of '{field}'", got=entries)
        got = {
            each.get("name"): (each.get("data_type"), each.get("dims")) for each in entries or ()
        }
        for spec in specs:
            kind_name = "STRING" if spec.datatype == "BYTES" else spec.datatype
            dims = [int(size) for size in (spec.shape if is_whole else spec.shape[1:])]
            what = f"{spec.name} in '{field}'"
            expect.equal(got.get(spec.name), (f"TYPE_{kind_name}", dims), what=what)


@_CONFIGURATION.case("configuration of a version")
async def version_configuration(subject: Subject) -> None:
    model = subject.any_model()
    found = expect.fields(await subject.get(f"{model.version_path()}/config"))
    expect.equal(found.get("name"), model.name, what="'name'")


@_CONFIGURATION.case("configuration of an unknown model is refused")
async def unknown_configuration(subject: Subject) -> None:
    expect.refused(await subject.get(f"/v2/models/{UNKNOWN_MODEL}/config"))


@_REPOSITORY.each([b"", b"{}", b'{"ready": true}'], name=lambda body: f"the index for {body!r}")
async def index(subject: Subject, body: bytes) -> None:
    answer = await subject.post("/v2/repository/index", body)
    if answer.status in (404, 405) and "model_repository" not in subject.server.extensions:
        raise SkippedError("the server has no repository index")
    entries = expect.parsed(answer.body) if answer.status == 200 else None
    if not isinstance(entries, list):
        raise ViolationError(f"expected a list, got status {answer.status}")
    names = [entry.get("name") for entry in entries]
    expected = subject.any_model().name
    expect.true(expected in names, what=f"{expected} in the index", got=names)
