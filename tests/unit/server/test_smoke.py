"""The one inference of `helm test`: patient while a name still moves, strict about the answer."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from slipway_server import smoke

URL = "http://identity.demo"
RIGHT = {"outputs": [{"name": "y", "data": list(smoke.VALUES)}]}


class Time:
    """A clock that only moves when somebody waits."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def read(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Play an endpoint that gives these answers to inferences, the last one for ever."""
    time = Time()
    monkeypatch.setattr(smoke.time, "monotonic", time.read)
    monkeypatch.setattr(smoke.time, "sleep", time.wait)

    def play(*answers: Any) -> list[str]:
        asked: list[str] = []

        def call(url: str, fields: dict[str, Any] | None) -> Any:
            asked.append(url)
            if fields is None:
                return {}
            answer = answers[min(asked.count(url), len(answers)) - 1]
            if isinstance(answer, Exception):
                raise answer
            return json.loads(json.dumps(answer))

        monkeypatch.setattr(smoke, "_call", call)
        return asked

    return play


def test_an_inference_lost_on_the_way_is_sent_again(
    endpoint: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """A DNS replica may still give the address of the Service that the last test had."""
    endpoint(TimeoutError("timed out"), RIGHT)

    assert smoke.main([URL]) == 0
    assert "answered as expected" in capsys.readouterr().out


def test_a_wrong_answer_fails_at_once(
    endpoint: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = endpoint({"outputs": [{"name": "y", "data": [0.0, 0.0, 0.0]}]}, RIGHT)

    assert smoke.main([URL]) == 1
    assert "expected y = " in capsys.readouterr().out
    assert len(asked) == 2


def test_an_endpoint_that_never_answers_is_given_up(
    endpoint: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint(TimeoutError("timed out"))

    assert smoke.main([URL, "--timeout", "10"]) == 1
    assert "answered no inference within 10 s: timed out" in capsys.readouterr().out
