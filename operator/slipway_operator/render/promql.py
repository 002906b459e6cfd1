"""PromQL: from what a user wrote to what Prometheus is asked.

The one place where values meet a query. A value is either a string literal of its own or escaped
for the literal that it stands in, so that no value can become syntax. Whether a query is a good
one is not known here.
"""

import re
from collections.abc import Mapping
from typing import Final

_PLACEHOLDER: Final = re.compile(r"\{\{(\w+)\}\}")
# String literals, comments and placeholders; everything else stays as it is. Strings as in Go:
# https://prometheus.io/docs/prometheus/latest/querying/basics/#string-literals
_TOKEN: Final = re.compile(
    r'"(?:[^"\\\n]|\\.)*"' + r"|'(?:[^'\\\n]|\\.)*'" + r"|`[^`]*`|#[^\n]*|\{\{(\w+)\}\}"
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def quote_label(text: str) -> str:
    r"""Write text as a PromQL string literal, whatever it holds.

    >>> print(quote_label('a "b"'), quote_label("c\n\\d"))
    "a \"b\"" "c\u000a\\d"
    """
    return f'"{_escaped(text, quote=chr(34))}"'


def render(query: str, values: Mapping[str, str]) -> str:
    r"""Put values into a query: `{{candidate}}` alone, or inside a string literal.

    Raises ValueError for a placeholder without a value. Values are names of Kubernetes objects,
    which hold nothing that a regular expression would read as more than itself.

    >>> values = {"candidate": "churn-1"}
    >>> print(render('x{revision={{candidate}}, pod=~"{{candidate}}-.*"}', values))
    x{revision="churn-1", pod=~"churn-1-.*"}
    """

    def replace(token: re.Match[str]) -> str:
        text, name = token[0], token[1]
        if name is not None:
            return quote_label(_value(values, name))
        if text[0] == "#":
            return text
        return _PLACEHOLDER.sub(
            lambda inner: _escaped(_value(values, inner[1]), quote=text[0]), text
        )

    return _TOKEN.sub(replace, query)


def _value(values: Mapping[str, str], name: str) -> str:
    if name not in values:
        known = ", ".join(f"{{{{{key}}}}}" for key in values)
        raise ValueError(f"a query may hold {known}, and not {{{{{name}}}}}")
    return values[name]


def _escaped(text: str, *, quote: str) -> str:
    if quote == "`":
        if "`" in text:
            raise ValueError("nothing can be escaped between backticks: write double quotes")
        return text
    plain = text.replace("\\", "\\\\").replace(quote, "\\" + quote)
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", plain)
