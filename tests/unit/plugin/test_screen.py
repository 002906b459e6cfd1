"""What people and programs are shown, as golden files; refresh with SLIPWAY_UPDATE_GOLDEN=1."""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from slipway_plugin import document, explanation, overview, screen, terminal, wording, yaml_text
from slipway_plugin.overview import Overview
from slipway_plugin.screen import Line
from slipway_plugin.terminal import Terminal
from tests.samples import plugin_objects as samples

GOLDEN: Final = Path(__file__).parents[2] / "golden" / "plugin"
WARNING: Final = {
    "type": "Warning",
    "reason": "Errors",
    "message": f"candidate {samples.NEW} at 5 %: candidate failed 33 of 44 attempts (75 %)",
    "metadata": {"creationTimestamp": "2026-03-01T12:00:00Z"},
}


def seen(name: str, **more: Any) -> Overview:
    found = samples.deployment(samples.ALL[name])
    return overview.collect(found, (*samples.RECORDS, *samples.PODS), **more)


def text_of(lines: Iterable[Line]) -> str:
    return "".join(f"{line.text}\n" for line in lines)


def expect(file: str, text: str) -> None:
    path = GOLDEN / file
    if os.environ.get("SLIPWAY_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", samples.ALL)
def test_status_is_shown_as_agreed(name: str) -> None:
    lines = screen.status(seen(name), samples.NOW, width=80)

    expect(f"status-{name}.txt", text_of(lines))


@pytest.mark.parametrize("name", samples.ALL)
def test_status_in_json_keeps_its_shape(name: str) -> None:
    written = json.dumps(document.status(seen(name)), indent=1, ensure_ascii=False)

    expect(f"status-{name}.json", written + "\n")


def test_history_and_explanation_keep_their_shape() -> None:
    told = seen("rolled-back", events=[WARNING])
    because, advice = explanation.because(told), explanation.advice(told)
    documents = {
        "history": document.history(told),
        "explain": document.explanation(told, because, advice),
        "list": document.listing([told]),
    }

    for name, written in documents.items():
        assert written["apiVersion"] == "cli.slipway.dev/v1"
        expect(f"{name}.json", json.dumps(written, indent=1, ensure_ascii=False) + "\n")
    expect("history.txt", text_of(screen.history(told, samples.NOW, width=80)))
    expect("explain.txt", text_of(explanation.screen(told, samples.NOW, width=80)))


def test_a_list_has_a_line_for_each_deployment() -> None:
    found = [seen(name) for name in ("serving", "rolling", "rolled-back")]

    expect("list.txt", text_of(screen.listing(found, width=80, has_namespace=True)))


@pytest.mark.parametrize("name", samples.ALL)
def test_everything_fits_eighty_columns_however_long_the_names_are(name: str) -> None:
    found = samples.deployment(samples.ALL[name])
    long = json.loads(json.dumps(found).replace("churn", "c" * 50))
    of = overview.collect(long, ())

    lines = [
        *screen.status(of, samples.NOW, width=80),
        *screen.listing([of], width=80, has_namespace=True),
    ]

    assert [line.text for line in lines if len(line.text) > 80] == []


def test_a_waiting_rollout_says_why_what_it_has_and_needs_and_until_when() -> None:
    text = text_of(screen.status(seen("rolling"), samples.NOW, width=80))

    assert "why waiting  InsufficientData: errors: have 600 candidate requests" in text
    assert "have / need  600 of about 1,030 requests" in text
    assert "until        12:30:00 UTC, in 27m" in text


def test_a_probation_says_who_is_kept_and_until_when() -> None:
    text = text_of(screen.status(seen("probation"), samples.NOW, width=80))

    said = " ".join(text.split())
    assert "Probation: 7 (1.3.0) has everything; 6 (1.2.9) is kept until 12:10:00 UTC" in said


def test_copies_of_requests_are_shown_beside_the_weight() -> None:
    of = seen("asking")

    assert "every router; copies of 20 %" in text_of(screen.status(of, samples.NOW, width=80))
    assert "0 %, copies 20 %" in text_of(screen.listing([of], width=80, has_namespace=False))


def test_a_step_that_asks_a_person_is_answered_by_approve_and_a_pause_by_resume() -> None:
    first = {name: explanation.advice(seen(name))[0] for name in ("asking", "paused")}

    assert first["asking"].startswith("kubectl slipway approve churn")
    assert first["paused"].startswith("kubectl slipway resume churn")


def test_who_let_a_revision_through_stands_in_the_history() -> None:
    text = text_of(screen.history(seen("approved"), samples.NOW, width=80))

    assert "approve: ada@example.org asked for it: scores look right" in text


def test_a_shadow_that_is_over_is_no_failure() -> None:
    of = seen("shadowed")

    lines = screen.history(of, samples.NOW, width=80)
    assert [line.style for line in lines if line.text.startswith("  Shadowed")] == ["good"]
    assert "was a shadow: it passed and went" in " ".join(explanation.because(of))


def test_a_gate_of_a_query_shows_its_number_and_its_limit() -> None:
    gate = {"gate": "business", "verdict": "pass", "value": 0.93127, "limit": "min 0.9"}
    found = samples.deployment(samples.ROLLING | {"verdicts": [gate]})

    text = text_of(screen.status(overview.collect(found, ()), samples.NOW, width=80))

    assert re.search(r"business  limit min 0.9  0.9313     –          pass", text)


@pytest.mark.parametrize("name", samples.ALL)
def test_advice_names_verbs_that_exist_and_the_deployment(name: str) -> None:
    from slipway_plugin import command_line

    ours = [c for c in explanation.advice(seen(name)) if c.startswith("kubectl slipway ")]

    for advised in ours:
        parsed = command_line.parse(advised.split()[2:])
        assert (parsed.name, parsed.namespace) == (samples.NAME, samples.NAMESPACE)
    assert ours or name == "unseen" or name == "serving"


def test_what_could_not_be_read_is_said() -> None:
    of = overview.collect(
        samples.deployment(samples.ROLLING), (), missing=["pods is forbidden: no rights"]
    )

    assert "not shown    pods is forbidden" in text_of(screen.status(of, samples.NOW, width=80))


def a_terminal(*, is_tty: bool = True, ascii_: bool = False, **environment: str) -> Terminal:
    return terminal.terminal_of(
        {"TERM": "xterm"} | environment,
        is_tty=is_tty,
        encoding="utf-8",
        columns=200,
        wants_ascii=ascii_,
    )


@pytest.mark.parametrize(
    "here",
    [
        a_terminal(is_tty=False),
        a_terminal(NO_COLOR="1"),
        a_terminal(TERM="dumb"),
    ],
    ids=["no terminal", "NO_COLOR", "dumb"],
)
def test_without_a_terminal_that_wants_them_there_are_no_escapes(here: Terminal) -> None:
    assert "\x1b" not in here.text(Line("RollingOut", "busy"))


def test_colour_only_repeats_what_the_words_say() -> None:
    line = Line("RolledBack", "bad")

    assert re.sub(r"\x1b\[\d*m", "", a_terminal().text(line)) == line.text


def test_ascii_output_is_ascii() -> None:
    lines = screen.status(seen("rolling"), samples.NOW, width=80)

    assert all(a_terminal(ascii_=True, NO_COLOR="1").text(line).isascii() for line in lines)


@pytest.mark.parametrize("name", samples.ALL)
def test_yaml_says_what_json_says(name: str) -> None:
    written = document.status(seen(name))

    assert yaml.safe_load(yaml_text.dump(written)) == written


@pytest.mark.parametrize(
    "value",
    ["no", "1.0", "a: b", "- x", "", "x #y", "~", "ünïcode", "a\nb", "'", {}, [], [[]], None],
)
def test_yaml_quotes_what_would_be_read_otherwise(value: Any) -> None:
    assert yaml.safe_load(yaml_text.dump({"key": [value, {"inner": value}]})) == {
        "key": [value, {"inner": value}]
    }


def test_words_longer_than_a_line_are_cut_and_none_is_lost() -> None:
    wrapped = wording.wrap("short " + "x" * 25 + " end", 10)

    assert max(map(len, wrapped)) <= 10
    assert "".join(wrapped).replace(" ", "") == "short" + "x" * 25 + "end"
