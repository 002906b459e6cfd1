"""Begin and end lines of a model server become attempts."""

import orjson
import pytest

from bench import pods


@pytest.fixture
def attempts():
    return []


@pytest.fixture
def log(attempts):
    return pods.AccessLog("pod-1", attempts.append)


def begin(request_id, at, *, protocol="rest"):
    line = {"event": "begin", "at": at, "id": request_id, "protocol": protocol, "revision": "r"}
    return orjson.dumps(line)


def end(request_id, at, status, *, protocol="rest"):
    return orjson.dumps(
        {"event": "end", "at": at, "id": request_id, "protocol": protocol, "revision": "r"}
        | {"status": status, "seconds": 0.5}
    )


def told(attempts):
    return [(each.id, each.at, each.status, each.seconds) for each in attempts]


def test_a_begin_and_an_end_are_one_attempt(log, attempts):
    log.feed(begin("a", 1.0))
    log.feed(end("a", 1.5, 500))

    assert told(attempts) == [("a", 1.0, 500, 0.5)]


def test_grpc_statuses_are_named(log, attempts):
    log.feed(begin("a", 1.0, protocol="grpc"))
    log.feed(end("a", 1.5, 13, protocol="grpc"))

    assert told(attempts) == [("a", 1.0, "INTERNAL", 0.5)]


def test_an_attempt_without_an_end_is_told_when_the_log_is_over(log, attempts):
    log.feed(begin("a", 1.0))
    before = list(attempts)
    log.close()

    assert (before, told(attempts)) == ([], [("a", 1.0, None, None)])


def test_lines_that_come_again_count_once(log, attempts):
    for _ in range(2):
        log.feed(begin("a", 1.0))
        log.feed(end("a", 1.5, 200))
    log.close()

    assert told(attempts) == [("a", 1.0, 200, 0.5)]


def test_one_request_tried_twice_at_a_pod_is_two_attempts(log, attempts):
    log.feed(begin("a", 1.0))
    log.feed(begin("a", 2.0))
    log.feed(end("a", 2.5, 200))
    log.close()

    assert told(attempts) == [("a", 1.0, 200, 0.5), ("a", 2.0, None, None)]


@pytest.mark.parametrize("text", [b"", b"starting", b"{not json", b'{"level":"info"}'])
def test_other_output_is_passed_over(log, attempts, text):
    log.feed(text)
    log.close()

    assert attempts == []
