"""Models that come and go: the new is up before the old goes, and nothing stays of what went."""

import asyncio
import gc
import shutil
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

from slipway_server.backends import onnx as onnx_backend
from slipway_server.control import Control
from slipway_server.core.dataplane import Dataplane
from slipway_server.core.errors import ErrorKind, LoadError, ServingError
from slipway_server.core.registry import Model, Registry, State
from slipway_server.core.tensors import Datatype, InferenceRequest, Tensor
from slipway_server.core.workers import Workers
from slipway_server.storage import digest
from slipway_server.storage.repository import Repository, Version

DEADLINE_S = 5.0


class House:
    """A repository of models, served."""

    def __init__(self, root: Path, model_file: Path, workers: Workers) -> None:
        self.root, self.model_file = root, model_file
        self.registry = Registry()
        self.dataplane = Dataplane(self.registry, workers)
        self.gone: list[tuple[str, str]] = []
        self.control = Control(
            Repository(root),
            self.registry,
            self.dataplane,
            load=self._load,
            gone=lambda model: self.gone.append((model.name, model.version)),
            fixed="own",
            patience_s=DEADLINE_S,
        )

    def _load(self, *, version: Version) -> Model:
        backend = onnx_backend.load(version.path / "model.onnx", thread_count=1)
        return Model(version.name, version.number, backend, digest.of(version.path))

    def lay(self, name: str, version: str, *, note: str = "") -> None:
        folder = self.root / name / version
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.model_file, folder / "model.onnx")
        (folder / "note").write_text(note)

    def spoil(self, name: str, version: str) -> None:
        self.lay(name, version)
        (self.root / name / version / "model.onnx").write_text("no model")

    async def start(self, *wanted: str) -> dict[str, LoadError]:
        failures = await self.control.start(wanted)
        self.registry.settle()
        return failures

    def index(self) -> list[tuple[str, str, str]]:
        found = self.registry.index()
        return [(each.name, each.version, str(each.state)) for each in found]

    async def ask(self, name: str, version: str | None = None) -> str:
        x = Tensor("x", Datatype.FP32, np.ones((1, 2), np.float32))
        request = InferenceRequest(name, version, None, (x,))
        return (await self.dataplane.infer(request)).model_version


@pytest.fixture
async def house(tmp_path: Path, scale_file: Path):
    workers = Workers(asyncio.get_running_loop(), thread_count=2)
    root = tmp_path / "repository"
    root.mkdir()
    yield House(root, scale_file, workers)
    workers.close()


async def ask_on(house: House, seen: list[str]) -> None:
    """Be a client that asks and asks, until a request fails or the test is over."""
    while True:
        seen.append(await house.ask("a"))


async def refused(call) -> ServingError:
    with pytest.raises(ServingError) as caught:
        await call
    return caught.value


async def test_all_versions_are_served_and_the_highest_answers(house):
    house.lay("a", "2")
    house.lay("a", "10")
    house.lay("b", "1")

    assert await house.start() == {}

    assert await house.ask("a") == "10"
    assert await house.ask("a", "2") == "2"
    assert house.dataplane.is_ready
    assert house.index() == [("a", "2", "READY"), ("a", "10", "READY"), ("b", "1", "READY")]


async def test_only_what_is_asked_for_is_loaded_at_the_start(house):
    house.lay("a", "1")
    house.lay("b", "1")

    await house.start("b")

    assert house.dataplane.is_ready
    assert house.index() == [("b", "1", "READY")]
    assert ("a", "", "UNAVAILABLE") in [
        (each.name, each.version, str(each.state)) for each in await house.control.index()
    ]


async def test_a_model_that_fails_at_the_start_keeps_the_server_from_being_ready(house):
    house.lay("good", "1")
    house.spoil("bad", "1")

    failures = await house.start("good", "bad", "absent")

    assert set(failures) == {"bad", "absent"}
    assert "not an ONNX model" in failures["bad"].message
    assert not house.dataplane.is_ready
    assert house.dataplane.is_model_ready("good", None)
    assert not house.dataplane.is_model_ready("bad", None)
    house.lay("bad", "1")
    await house.control.load("bad")
    await house.control.unload("absent")
    assert house.dataplane.is_ready


async def test_a_load_that_fails_leaves_the_old_one_serving(house):
    house.lay("a", "1")
    await house.start()
    house.spoil("a", "2")

    error = await refused(house.control.load("a"))

    assert ErrorKind.BROKEN_MODEL is error.kind
    assert "not an ONNX model" in error.message
    assert await house.ask("a") == "1"
    assert house.dataplane.is_ready


async def test_a_name_that_fails_to_load_for_the_first_time_keeps_nobody_from_being_ready(house):
    house.lay("a", "1")
    await house.start()
    house.spoil("b", "1")

    await refused(house.control.load("b"))

    assert house.dataplane.is_ready
    assert ("b", "", "UNAVAILABLE") in house.index()
    assert ErrorKind.NOT_FOUND is (await refused(house.ask("b"))).kind


async def test_a_load_takes_what_is_new_and_keeps_what_has_not_changed(house):
    for version in ("1", "2", "3"):
        house.lay("a", version)
    await house.start()
    before = {model.version: model for model in house.registry.all("a")}
    shutil.rmtree(house.root / "a" / "1")
    house.lay("a", "2", note="changed")
    house.lay("a", "4")

    await house.control.load("a")

    after = {model.version: model for model in house.registry.all("a")}
    assert list(after) == ["2", "3", "4"]
    assert (after["2"] is before["2"], after["3"] is before["3"]) == (False, True)
    async with asyncio.timeout(DEADLINE_S):
        while not house.gone:
            await asyncio.sleep(0.001)
    assert house.gone == [("a", "1")]


async def test_no_request_fails_while_models_are_replaced(house):
    house.lay("a", "1")
    await house.start()
    seen: list[str] = []
    clients = [asyncio.create_task(ask_on(house, seen)) for _ in range(8)]

    for number in range(2, 6):
        house.lay("a", str(number))
        await house.control.load("a")
        async with asyncio.timeout(DEADLINE_S):
            while str(number) not in seen:
                await asyncio.sleep(0)

    failed = [task for task in clients if task.done()]
    for task in clients:
        task.cancel()
    assert not failed
    assert len(seen) > 8


async def test_an_unloaded_model_is_not_found_and_its_memory_is_free(house):
    house.lay("a", "1")
    await house.start()
    await house.ask("a")
    (model,) = house.registry.all("a")
    ghost = weakref.ref(model.backend)
    del model

    await house.control.unload("a")

    deadline_s = time.monotonic() + DEADLINE_S
    while ghost() is not None and time.monotonic() < deadline_s:
        await asyncio.sleep(0.001)
    assert ghost() is None, gc.get_referrers(ghost())
    assert ErrorKind.NOT_FOUND is (await refused(house.ask("a"))).kind
    assert house.index() == [("a", "", "UNAVAILABLE")]
    assert house.gone == [("a", "1")]
    assert house.dataplane.is_ready
    assert State.UNAVAILABLE is house.registry.index()[0].state


@pytest.mark.parametrize("name", ["../a", "own", "", "a/1"])
async def test_only_models_of_the_repository_can_be_named(house, name):
    await house.start()

    for call in (house.control.load(name), house.control.unload(name)):
        assert ErrorKind.INVALID_INPUT is (await refused(call)).kind


async def test_what_is_not_there_is_not_found(house):
    await house.start()

    for call in (house.control.load("a"), house.control.unload("a")):
        assert ErrorKind.NOT_FOUND is (await refused(call)).kind
    assert house.index() == []


async def test_the_name_of_the_servers_own_model_is_taken(house):
    house.lay("own", "1")

    failures = await house.start()

    assert "has the name of the server's own" in failures["own"].message


async def test_a_load_goes_on_though_its_client_has_left(house):
    house.lay("a", "1")
    await house.start()
    house.lay("b", "1")

    asked = asyncio.create_task(house.control.load("b"))
    await asyncio.sleep(0)
    asked.cancel()

    async with asyncio.timeout(DEADLINE_S):
        while house.registry.get("b", None) is None:
            await asyncio.sleep(0.001)
    assert await house.ask("b") == "1"
