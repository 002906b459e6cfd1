"""A log line can be read by a machine, and says what it is about."""

import io
import json
import logging
import sys
from typing import Any

from slipway_api import logs


def line_of(message: str, *arguments: object, **extra: Any) -> dict[str, Any]:
    record = logging.LogRecord("slipway", logging.INFO, "here", 1, message, arguments, None)
    record.__dict__.update(extra)
    text = logs.JsonLines().format(record)
    assert "\n" not in text
    value: dict[str, Any] = json.loads(text)
    return value


def test_a_line_says_what_it_is_about_beside_its_sentence() -> None:
    about = logs.about(namespace="ml", name="churn", revision="churn-a", reason="Errors")

    line = line_of("candidate at %d %%\nfails", 5, **about)

    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "slipway",
        "message": "candidate at 5 %\nfails",
        "namespace": "ml",
        "name": "churn",
        "revision": "churn-a",
        "reason": "Errors",
    }


def test_what_is_not_known_is_left_out() -> None:
    assert {"about": {"namespace": "ml"}} == logs.about(namespace="ml", revision=None, reason="")


def test_kopf_s_lines_name_their_object_the_same_way() -> None:
    line = line_of("seen", k8s_ref={"namespace": "ml", "name": "churn", "uid": "1"})

    assert ("ml", "churn") == (line["namespace"], line["name"])


def test_a_traceback_stays_on_the_line() -> None:
    try:
        int("wrong")
    except ValueError:
        line = line_of("failed", exc_info=sys.exc_info())

    assert line["error"].splitlines()[-1].startswith("ValueError: ")


def test_every_logger_writes_in_the_form_that_was_asked_for() -> None:
    before = logging.getLogger().handlers[:], logging.getLogger().level
    stream = io.StringIO()
    try:
        logs.begin("json", level="info", stream=stream)
        logging.getLogger("a.library").warning("told")
        logs.begin("text", level="info", stream=stream)
        logging.getLogger("a.library").warning("told")
    finally:
        logging.getLogger().handlers[:], logging.getLogger().level = before
        logging.captureWarnings(False)

    first, second = stream.getvalue().splitlines()
    assert json.loads(first)["message"] == "told"
    assert second.endswith("WARNING a.library told")
