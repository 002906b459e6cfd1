"""Queries: values stay values, whatever they hold."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_operator.render.promql import quote_label, render

VALUES = {"namespace": "ml", "name": "churn", "candidate": "churn-2", "stable": "churn-1"}


@given(st.text())
def test_any_text_survives_being_quoted(text: str) -> None:
    quoted = quote_label(text)

    # JSON reads the same escapes as Go, as far as they are written here.
    assert text == json.loads(quoted)
    assert "\n" not in quoted


@given(st.text(), st.sampled_from("\"'"))
def test_no_value_ends_the_string_that_it_stands_in(text: str, quote: str) -> None:
    written = render(f"x{{a={quote}{{{{name}}}}{quote}}}", {"name": text})

    inside = written.removeprefix(f"x{{a={quote}").removesuffix(f"{quote}}}")
    ends = inside.replace("\\\\", "").replace(f"\\{quote}", "")
    assert quote not in ends
    assert not ends.endswith("\\")


@pytest.mark.parametrize(
    ("query", "written"),
    [
        ("vector(1)", "vector(1)"),
        ("x{revision={{candidate}}}", 'x{revision="churn-2"}'),
        ('x{pod=~"{{candidate}}-.*"}', 'x{pod=~"churn-2-.*"}'),
        ("x{a='{{name}}'} / x{a=`{{stable}}`}", "x{a='churn'} / x{a=`churn-1`}"),
        ('x{a="\\"{{name}}"}', 'x{a="\\"churn"}'),
        ("x # {{name}} is not asked for\n> 0", "x # {{name}} is not asked for\n> 0"),
        ('x{a="#",b={{namespace}}}', 'x{a="#",b="ml"}'),
    ],
)
def test_placeholders_are_filled_where_they_stand(query: str, written: str) -> None:
    assert written == render(query, VALUES)


@pytest.mark.parametrize("query", ["{{pod}}", 'x{a="{{pod}}"}'])
def test_an_unknown_placeholder_is_refused_with_those_that_exist(query: str) -> None:
    with pytest.raises(ValueError, match=r"may hold \{\{namespace\}\}.*not \{\{pod\}\}"):
        render(query, VALUES)


def test_what_cannot_be_escaped_is_refused() -> None:
    with pytest.raises(ValueError, match="double quotes"):
        render("x{a=`{{name}}`}", {"name": "a`b"})
