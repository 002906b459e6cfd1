"""Parsing of access log records, and telling clients that left from pods that were silent."""

from dataclasses import replace

from envoy.data.accesslog.v3 import accesslog_pb2
from google.protobuf import text_format

from slipway_operator.adapters.als import (
    Clusters,
    may_be_cut_by_client,
    parse_answer,
    parse_attempt,
)
from slipway_operator.adapters.als_cuts import KEPT_S, WAIT_S, ClientCuts
from slipway_operator.engine.attempts import Attempt

# Envoy 1.40 wrote it, shortened.
RECORD = """
common_properties {
  start_time { seconds: 1795263140 nanos: 438542000 }
  upstream_remote_address { socket_address { address: "10.0.0.3" port_value: 9000 } }
  upstream_cluster: "ml~churn~r2~grpc"
  route_name: "ml/churn"
  duration { nanos: 565062 }
  access_log_type: UpstreamEnd
}
request { request_id: "6e9ea5ad" path: "/inference.GRPCInferenceService/ModelInfer" }
response {
  response_code { value: 200 }
  response_headers { key: "x-slipway-config" value: "19bcde7cd0bf7d69" }
  response_trailers { key: "grpc-status" value: "13" }
}
"""


def _entry(text: str = "", *, base: str = RECORD) -> accesslog_pb2.HTTPAccessLogEntry:
    entry = text_format.Parse(base, accesslog_pb2.HTTPAccessLogEntry())
    return text_format.Merge(text, entry)


def _attempt(entry: accesslog_pb2.HTTPAccessLogEntry) -> Attempt | None:
    return parse_attempt(entry, "router-0", Clusters())


EXPECTED = Attempt(
    namespace="ml",
    deployment="churn",
    revision="r2",
    key="6e9ea5ad@1795263140.438542000",
    router="router-0",
    host="10.0.0.3",
    is_grpc=True,
    began_at_s=1795263140.438542,
    duration_s=0.000565062,
    http_status=200,
    grpc_status=13,
    has_retry_after=False,
    is_cut_by_client=False,
    request="6e9ea5ad",
)


def test_an_attempt_that_ended_is_read() -> None:
    assert _attempt(_entry()) == EXPECTED


def test_a_start_has_no_duration_and_the_key_of_its_end() -> None:
    entry = _entry("common_properties { access_log_type: UpstreamPoolReady }")
    entry.ClearField("response")

    assert replace(EXPECTED, duration_s=None, http_status=0, grpc_status=None) == _attempt(entry)


def test_a_copy_is_an_attempt_of_a_request_of_its_own_that_names_the_copied_one() -> None:
    attempt = _attempt(_entry('common_properties { upstream_cluster: "ml~churn~r2~grpc~mirror" }'))

    key = EXPECTED.key.replace("6e9ea5ad", "6e9ea5ad~mirror")
    copied = replace(EXPECTED, key=key, request="6e9ea5ad~mirror", copy_of="6e9ea5ad")
    assert copied == attempt


def test_what_the_router_dropped_itself_is_no_attempt() -> None:
    flags = "common_properties { response_flags { upstream_overflow: true } }"

    assert _attempt(_entry(flags)) is None


def test_grpc_status_is_read_from_headers_of_a_call_that_failed_at_once() -> None:
    entry = _entry('response { response_headers { key: "grpc-status" value: "14" } }')
    del entry.response.response_trailers["grpc-status"]

    attempt = _attempt(entry)

    assert attempt is not None
    assert attempt.grpc_status == 14


def test_rest_attempts_have_no_grpc_status() -> None:
    entry = _entry('common_properties { upstream_cluster: "ml~churn~r2~http~service" }')

    attempt = _attempt(entry)

    assert attempt is not None
    assert (attempt.is_grpc, attempt.grpc_status) == (False, None)


def test_attempts_without_a_pod_or_at_foreign_clusters_are_none() -> None:
    without_pod = _entry()
    without_pod.common_properties.ClearField("upstream_remote_address")

    assert _attempt(without_pod) is None
    assert _attempt(_entry('common_properties { upstream_cluster: "xds" }')) is None


def test_an_answer_names_its_configuration_and_its_revision() -> None:
    answer = parse_answer(
        _entry("common_properties { upstream_request_attempt_count: 2 }"), "router-0", Clusters()
    )

    assert answer is not None
    assert (answer.namespace, answer.deployment, answer.revision) == ("ml", "churn", "r2")
    assert (
        answer.config_hash,
        answer.attempt_count,
        answer.is_probe,
    ) == ("19bcde7cd0bf7d69", 2, False)


def test_a_probe_is_told_from_traffic() -> None:
    answer = parse_answer(
        _entry('request { path: "/.slipway/config" } common_properties { upstream_cluster: "" }'),
        "router-0",
        Clusters(),
    )

    assert answer is not None
    assert (answer.is_probe, answer.revision) == (True, None)


def test_a_static_answer_is_told_from_a_good_one() -> None:
    marked = 'response { response_headers { key: "x-slipway-static" value: "true" } }'

    found = [parse_answer(_entry(text), "router-0", Clusters()) for text in ("", marked)]

    assert [False, True] == [answer is not None and answer.is_static for answer in found]


def _waits(text: str = "") -> bool:
    entry = _entry(text)
    attempt = _attempt(entry)
    assert attempt is not None
    return may_be_cut_by_client(attempt, entry)


def test_an_attempt_without_any_reason_waits_for_its_client() -> None:
    silent = "response { response_code { value: 0 } }"
    broken = silent + "common_properties { response_flags { upstream_remote_reset: true } }"

    assert _waits(silent)
    assert not _waits(broken)
    assert not _waits()


def test_a_pod_that_gave_up_at_a_deadline_waits_for_its_client() -> None:
    assert _waits('response { response_trailers { key: "grpc-status" value: "4" } }')


REQUEST = ("router-0", "6e9ea5ad")


def test_an_attempt_is_cut_whichever_record_comes_first() -> None:
    cut = [replace(EXPECTED, is_cut_by_client=True)]
    client_first, attempt_first = ClientCuts(), ClientCuts()

    client_first.client_left(REQUEST, 10.0)
    client_first.hold(REQUEST, EXPECTED, 10.1)
    attempt_first.hold(REQUEST, EXPECTED, 10.0)
    early = attempt_first.release(10.05)
    attempt_first.client_left(REQUEST, 10.1)

    assert cut == client_first.release(10.1)
    assert early == []
    assert cut == attempt_first.release(10.1)
    assert attempt_first.due_at_s is None


def test_an_attempt_whose_client_stayed_is_given_out_after_the_wait() -> None:
    cuts = ClientCuts()
    cuts.hold(REQUEST, EXPECTED, 10.0)

    assert cuts.due_at_s == 10.0 + WAIT_S
    assert cuts.release(10.0 + WAIT_S) == [EXPECTED]


def test_clients_that_left_long_ago_are_forgotten() -> None:
    cuts = ClientCuts()
    cuts.client_left(REQUEST, 10.0)
    cuts.client_left(("router-0", "other"), 10.1 + KEPT_S)

    cuts.hold(REQUEST, EXPECTED, 10.1 + KEPT_S)

    assert cuts.release(20 + KEPT_S) == [EXPECTED]
