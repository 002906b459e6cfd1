"""Which models are served, and what is said of those that are not."""

import pytest

from slipway_server.core.errors import ErrorKind, ServingError
from slipway_server.core.registry import Model, Registry, Standing, State


def model(name: str, version: str) -> Model:
    return Model(name, version, backend=None)


@pytest.fixture
def registry() -> Registry:
    return Registry()


def kind_of(registry: Registry, name: str, version: str | None = None) -> ErrorKind:
    with pytest.raises(ServingError) as caught:
        registry.find(name, version)
    return caught.value.kind


def test_the_last_version_answers_where_none_is_asked_for(registry):
    versions = [model("a", "2"), model("a", "10")]

    registry.publish(versions)

    assert registry.find("a", None) is versions[1]
    assert registry.find("a", "2") is versions[0]
    assert registry.get("a", "3") is None


def test_publishing_returns_what_it_replaces_and_keeps_what_stays(registry):
    old = [model("a", "1"), model("a", "2")]
    registry.publish(old)

    replaced = registry.publish([old[1], model("a", "3")])

    assert replaced == (old[0],)
    assert registry.versions("a") == ("2", "3")


def test_what_is_not_here_may_yet_come_until_the_start_is_over(registry):
    assert ErrorKind.NOT_READY is kind_of(registry, "a")

    registry.settle()

    assert ErrorKind.NOT_FOUND is kind_of(registry, "a")


@pytest.mark.parametrize("state", [State.LOADING, State.UNAVAILABLE])
def test_a_model_that_was_asked_for_and_is_not_served_is_not_ready(registry, state):
    registry.settle()

    registry.note(Standing("a", "2", state, "because"))

    assert ErrorKind.NOT_READY is kind_of(registry, "a")


def test_a_model_that_nobody_asked_for_is_not_found(registry):
    registry.settle()

    registry.note(Standing("a", "2", State.UNAVAILABLE, "unloaded", is_wanted=False))

    assert ErrorKind.NOT_FOUND is kind_of(registry, "a")


def test_the_index_has_every_version_and_what_is_not_served(registry):
    registry.publish([model("b", "1"), model("b", "2")])
    registry.note(Standing("a", "3", State.UNAVAILABLE, "not ONNX"))
    registry.note(Standing("b", "", State.LOADING))

    assert registry.index() == (
        Standing("a", "3", State.UNAVAILABLE, "not ONNX"),
        Standing("b", "1", State.READY),
        Standing("b", "2", State.READY),
    )


def test_a_model_that_was_withdrawn_is_returned_and_not_found(registry):
    registry.settle()
    served = model("a", "1")
    registry.publish([served])

    assert registry.withdraw("a") == (served,)
    assert registry.withdraw("a") == ()
    assert ErrorKind.NOT_FOUND is kind_of(registry, "a")
