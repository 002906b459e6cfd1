"""Settings come from the environment; a wrong one is named with what it should hold."""

from pathlib import Path

import pytest

from slipway_api import names
from slipway_server import settings
from slipway_server.access.rights import Right
from slipway_server.core.errors import LoadError, ServingError
from slipway_server.protection import protection
from slipway_server.settings import AccessLogFormat

NEEDED = {"SLIPWAY_SERVER_MODEL_NAME": "churn", "SLIPWAY_SERVER_MODEL_URI": "s3://b/k"}


def test_defaults_are_those_of_the_pod():
    read = settings.read(NEEDED)

    assert (read.http_port, read.grpc_port) == (names.PORT_HTTP, names.PORT_GRPC)
    assert Path(names.MODEL_DIR) == read.model_dir
    assert settings.Settings(model_name="churn", model_uri="s3://b/k") == read


def test_everything_that_the_operator_writes_is_read():
    environ = {f"{names.SERVER_ENV_PREFIX}{name}": f"v-{name}" for name in names.SERVER_ENV}

    read = settings.read(environ)

    assert all(f"v-{name}" == getattr(read, name.lower()) for name in names.SERVER_ENV)


def test_the_keys_that_the_operator_mounts_are_asked_for_and_scrapes_stay_open(tmp_path):
    file = tmp_path / names.AUTH_KEYS_KEY
    file.write_text(f"shop {'ab' * 32}\n")
    values = dict(zip(names.SERVER_KEYS_ENV, (str(file), names.AUTH_OPEN), strict=True))
    prefixed = {f"{names.SERVER_ENV_PREFIX}{name}": value for name, value in values.items()}

    gate = protection(settings.read(NEEDED | prefixed), say=print).gate

    assert gate is not None
    for right in (Right.PROBE, Right.METADATA, Right.METRICS):
        gate.admit(right, ())
    with pytest.raises(ServingError, match="a key is needed"):
        gate.admit(Right.INFER, ())


def test_a_repository_needs_no_single_model_and_half_of_one_is_missed():
    repository = {"SLIPWAY_SERVER_MODEL_REPOSITORY": "/models"}

    read = settings.read(repository | {"SLIPWAY_SERVER_LOAD_MODELS": "a, b,"})

    assert (read.model_repository, read.load_models) == (Path("/models"), ("a", "b"))
    assert (read.model_name, read.model_uri) == ("", "")
    with pytest.raises(LoadError, match="SLIPWAY_SERVER_MODEL_URI is not set"):
        settings.read(repository | {"SLIPWAY_SERVER_MODEL_NAME": "churn"})


def test_typed_values_are_parsed_and_empty_ones_are_absent():
    more = {"QUEUE_MAX": "0", "DRAIN_S": "1.5", "ACCESS_LOG": "json", "CONCURRENCY": ""}
    environ = {f"SLIPWAY_SERVER_{name}": value for name, value in more.items()}

    read = settings.read(NEEDED | environ)

    assert (read.queue_max, read.drain_s, read.concurrency) == (0, 1.5, 2)
    assert AccessLogFormat.JSON is read.access_log


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("MODEL_URI", "", "is not set"),
        ("CONCURRENCY", "0", "at least 1"),
        ("QUEUE_MAX", "many", "whole number"),
        ("DRAIN_S", "-1", "seconds"),
        ("DRAIN_S", "inf", "seconds"),
        ("ACCESS_LOG", "text", "off or json"),
        ("EXIT_ON_ERROR", "maybe", "true or false"),
    ],
)
def test_a_wrong_value_is_named(name, value, words):
    with pytest.raises(LoadError, match=words) as caught:
        settings.read(NEEDED | {f"SLIPWAY_SERVER_{name}": value})

    assert f"SLIPWAY_SERVER_{name}" in caught.value.message
