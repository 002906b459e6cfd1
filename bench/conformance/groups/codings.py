"""Compressed bodies, as Triton and its clients have them; no extension is named for them."""

import gzip
import zlib
from collections.abc import Callable, Mapping
from typing import Final

from bench.conformance import bodies, expect
from bench.conformance.cases import Group
from bench.conformance.expect import Answer, SkippedError
from bench.conformance.models import Kind
from bench.conformance.subject import Subject

_CODINGS: Final = Group(
    "compression", section="RFC 9110, Content-Encoding; Triton's HTTP compression",
    model=Kind.SIMPLE,
)  # fmt: skip
_COMPRESS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}


async def _send(subject: Subject, content: bytes, coding: str) -> Answer:
    return await subject.infer(Kind.SIMPLE, content, headers={"Content-Encoding": coding})


def _body() -> bytes:
    return bodies.assembled(bodies.in_json(bodies.pair()), b"").body


@_CODINGS.each(tuple(_COMPRESS), name=lambda coding: f"a body in {coding}")
async def compressed(subject: Subject, coding: str) -> None:
    answer = await _send(subject, _COMPRESS[coding](_body()), coding)
    if answer.status == 415:
        raise SkippedError(f"the server takes no {coding}")
    found = expect.inferred(answer)
    expect.same(found.outputs.get("OUTPUT0"), bodies.results(bodies.pair())[0])


@_CODINGS.each(tuple(_COMPRESS), name=lambda coding: f"JSON and bytes in {coding}")
async def compressed_binary(subject: Subject, coding: str) -> None:
    """The header's length is that of the JSON before it was compressed."""
    subject.require("binary_tensor_data")
    request = bodies.in_binary(bodies.pair())
    headers = {**request.headers, "Content-Encoding": coding}
    answer = await subject.infer(Kind.SIMPLE, _COMPRESS[coding](request.body), headers=headers)
    if answer.status == 415:
        raise SkippedError(f"the server takes no {coding}")
    found = expect.inferred(answer)
    expect.same(found.outputs.get("OUTPUT0"), bodies.results(bodies.pair())[0])


@_CODINGS.each(
    ["gzip", "deflate"], name=lambda coding: f"a large answer where {coding} is accepted"
)
async def accepted(subject: Subject, coding: str) -> None:
    inputs = bodies.pair(1000)
    headers = {"Accept-Encoding": coding}
    answer = await subject.infer(Kind.SIMPLE, bodies.in_json(inputs), headers=headers)
    used = answer.headers.get("content-encoding", "identity")
    expect.true(used in ("identity", coding), what=f"{coding} or nothing", got=used)
    for tensor in bodies.results(inputs):
        expect.same(expect.inferred(answer).outputs.get(tensor.name), tensor)


@_CODINGS.case("a coding that nobody knows is refused")
async def unknown(subject: Subject) -> None:
    expect.refused(await _send(subject, _body(), "x-no-such-coding"))


@_CODINGS.each(tuple(_COMPRESS), name=lambda coding: f"a body that is not {coding} is refused")
async def untrue(subject: Subject, coding: str) -> None:
    expect.refused(await _send(subject, _body(), coding))


@_CODINGS.each(tuple(_COMPRESS), name=lambda coding: f"half a body in {coding} is refused")
async def cut(subject: Subject, coding: str) -> None:
    whole = _COMPRESS[coding](_body())
    expect.refused(await _send(subject, whole[: len(whole) // 2], coding))
