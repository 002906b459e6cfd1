"""The use cases, on a real model in this process."""

import asyncio
import threading

import numpy as np
import pytest

from slipway_server.backends.placement import Placement
from slipway_server.core.dataplane import Dataplane
from slipway_server.core.errors import ErrorKind, ServingError
from slipway_server.core.registry import Model, Registry, Standing, State
from slipway_server.core.tensors import Datatype, InferenceRequest, RequestedOutput, Tensor
from slipway_server.core.workers import Workers


@pytest.fixture
async def workers():
    made = Workers(asyncio.get_running_loop(), thread_count=1)
    yield made
    made.close()


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def dataplane(registry, workers) -> Dataplane:
    return Dataplane(registry, workers)


def serve(registry: Registry, *models: Model) -> None:
    registry.publish(models)
    registry.settle()


def request(**changes) -> InferenceRequest:
    x = Tensor("x", Datatype.FP32, np.array([[1, 2], [3, 4]], np.float32))
    fields = {
        "model_name": "scale",
        "model_version": None,
        "request_id": "r7",
        "inputs": (x,),
        "outputs": (),
    }
    return InferenceRequest(**{**fields, **changes})


async def test_nothing_is_ready_before_a_model_is_loaded(dataplane):
    with pytest.raises(ServingError) as caught:
        await dataplane.infer(request())

    assert ErrorKind.NOT_READY is caught.value.kind
    assert not dataplane.is_ready
    assert not dataplane.is_model_ready("scale", None)


async def test_an_inference_names_the_version_that_computed_it(dataplane, registry, make_model):
    serve(registry, make_model("scale", "1.3.0"))

    response = await dataplane.infer(request())

    assert (
        response.model_name,
        response.model_version,
        response.request_id,
    ) == ("scale", "1.3.0", "r7")
    assert response.outputs[0].array.tolist() == [[1, 20], [3, 40]]
    assert response.outputs[1].array.tolist() == [2]


async def test_only_the_outputs_asked_for_are_computed(dataplane, registry, make_model):
    serve(registry, make_model("scale", "1"))

    response = await dataplane.infer(request(outputs=(RequestedOutput("row_count"),)))

    assert [output.name for output in response.outputs] == ["row_count"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_name": "other"}, "no model 'other' here; this server has 'scale'"),
        ({"model_version": "9"}, "no version '9'; it has '1'"),
    ],
)
async def test_unknown_models_and_versions_are_not_found(
    dataplane, registry, make_model, changes, words
):
    serve(registry, make_model("scale", "1"))

    with pytest.raises(ServingError) as caught:
        await dataplane.infer(request(**changes))

    assert ErrorKind.NOT_FOUND is caught.value.kind
    assert words in caught.value.message


async def test_a_draining_server_is_not_ready_but_still_answers(dataplane, registry, make_model):
    serve(registry, make_model("scale", "1"))
    assert dataplane.is_ready
    assert dataplane.is_model_ready("scale", "1")

    dataplane.drain()

    assert not dataplane.is_ready
    assert not dataplane.is_model_ready("scale", "1")
    assert (await dataplane.infer(request())).outputs


async def test_metadata_tells_versions_and_signature(dataplane, registry, make_model):
    registry.publish([make_model("scale", "1"), make_model("scale", "2")])

    metadata = dataplane.model_metadata("scale", None)

    assert metadata.versions == ("1", "2")
    assert dataplane.model_metadata("scale", "1").versions == ("1",)
    assert metadata.signature.inputs[0].shape == (-1, 2)
    assert [spec.name for spec in metadata.signature.outputs] == ["y", "row_count"]


async def test_each_model_is_ready_by_itself_and_the_server_with_all_that_are_wanted(
    dataplane, registry, make_model
):
    registry.publish([make_model("scale", "1")])
    assert dataplane.is_model_ready("scale", None)
    assert not dataplane.is_model_ready("other", None)
    assert not dataplane.is_ready

    registry.note(Standing("other", "1", State.UNAVAILABLE, "not ONNX"))
    registry.settle()
    assert not dataplane.is_ready
    registry.note(Standing("other", "1", State.UNAVAILABLE, "unloaded", is_wanted=False))

    assert dataplane.is_ready
    assert [each.name for each in dataplane.index()] == ["other", "scale"]
    assert [each.name for each in dataplane.index(is_ready=True)] == ["scale"]


async def test_a_retired_model_answers_what_it_was_asked(dataplane, registry, make_model):
    serve(registry, make_model("scale", "1"))
    asked = asyncio.create_task(dataplane.infer(request()))
    await asyncio.sleep(0)

    (model,) = registry.withdraw("scale")
    ended = await dataplane.retire(model, patience_s=5)

    assert ended
    assert (await asked).model_version == "1"
    assert dataplane.queues() == {}


class Stuck:
    """A backend whose inferences wait for a gate."""

    platform, name = "test", "test"
    placement = Placement("cpu", "cpu")

    def __init__(self, signature) -> None:
        self.signature, self.gate = signature, threading.Event()

    def infer(self, feed, outputs):
        assert self.gate.wait(5)
        return [feed["x"], np.array([2])]


async def test_a_model_that_hangs_is_retired_without_its_last_answer(
    dataplane, registry, make_model
):
    backend = Stuck(make_model("scale", "1").backend.signature)
    serve(registry, Model("scale", "1", backend))
    asked = asyncio.create_task(dataplane.infer(request()))
    await asyncio.sleep(0.01)

    (model,) = registry.withdraw("scale")
    ended = await dataplane.retire(model, patience_s=0.01)

    assert not ended
    backend.gate.set()
    assert (await asyncio.wait_for(asked, 5)).model_version == "1"
