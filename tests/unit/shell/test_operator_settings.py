"""The operator's settings: what the environment must hold, and what is said if it does not."""

from datetime import timedelta
from pathlib import Path

import pytest

from slipway_operator.render.workload import ServerImage
from slipway_operator.shell import settings

COMPLETE = {
    "SLIPWAY_OPERATOR_NAMESPACE": "slipway-system",
    "SLIPWAY_OPERATOR_POD": "slipway-operator-7d9f-x2x",
    "SLIPWAY_OPERATOR_SERVER_IMAGE": "example.com/server:1",
    "PATH": "/usr/bin",
}


def test_what_the_chart_writes_is_enough() -> None:
    read = settings.read(COMPLETE)

    assert "slipway-system" == read.namespace
    assert ServerImage("example.com/server:1", "IfNotPresent") == read.server
    assert ("info", "json") == (read.log_level, read.log_format)


def test_every_setting_can_be_given() -> None:
    read = settings.read(
        COMPLETE
        | {
            "SLIPWAY_OPERATOR_SERVER_IMAGE_PULL_POLICY": "Always",
            "SLIPWAY_OPERATOR_LOG_LEVEL": "DEBUG",
            "SLIPWAY_OPERATOR_PROMETHEUS_URL": "https://example.com/prometheus",
            "SLIPWAY_OPERATOR_ALERTS_TOKEN_FILE": "/etc/token",
            "SLIPWAY_OPERATOR_LOG_FORMAT": "Text",
            "SLIPWAY_OPERATOR_CERTIFICATE_LIFE": "10m",
            "SLIPWAY_OPERATOR_BIND_ADDRESS": "127.0.0.1",
        }
    )

    assert "https://example.com/prometheus" == read.prometheus_url
    assert Path("/etc/token") == read.alerts_token_file
    assert timedelta(minutes=10) == read.certificate_life
    assert "Always" == read.server.pull_policy
    assert "127.0.0.1" == read.bind_address
    assert ("debug", "text") == (read.log_level, read.log_format)


@pytest.mark.parametrize("name", ["NAMESPACE", "POD", "SERVER_IMAGE"])
@pytest.mark.parametrize("is_empty", [True, False])
def test_a_missing_variable_is_named_with_what_it_should_hold(name: str, is_empty: bool) -> None:
    variable = f"SLIPWAY_OPERATOR_{name}"
    environment = {key: value for key, value in COMPLETE.items() if key != variable}
    if is_empty:
        environment[variable] = ""

    with pytest.raises(settings.SettingsError, match=f"{variable} is not set: it should hold"):
        settings.read(environment)


def test_an_unknown_log_level_is_refused_with_those_there_are() -> None:
    environment = COMPLETE | {"SLIPWAY_OPERATOR_LOG_LEVEL": "chatty"}

    with pytest.raises(settings.SettingsError, match="debug, info, warning, error, not 'chatty'"):
        settings.read(environment)


def test_without_an_address_no_prometheus_is_asked_and_nobody_may_call() -> None:
    read = settings.read(COMPLETE | {"SLIPWAY_OPERATOR_PROMETHEUS_URL": ""})

    assert (None, None) == (read.prometheus_url, read.alerts_token_file)


@pytest.mark.parametrize("url", ["prometheus:9090", "ftp://prometheus", "http://", "http://p?a=b"])
def test_what_is_no_address_of_prometheus_is_refused_with_an_example(url: str) -> None:
    environment = COMPLETE | {"SLIPWAY_OPERATOR_PROMETHEUS_URL": url}

    with pytest.raises(settings.SettingsError, match="must be an address such as http://prom"):
        settings.read(environment)


@pytest.mark.parametrize("life", ["90s", "soon"])
def test_certificates_that_routers_could_not_follow_are_refused(life: str) -> None:
    environment = COMPLETE | {"SLIPWAY_OPERATOR_CERTIFICATE_LIFE": life}

    with pytest.raises(settings.SettingsError, match="must be a time of 3m or more, not"):
        settings.read(environment)
