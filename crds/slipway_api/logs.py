"""Log lines: one JSON object for each event, or text for people at a terminal.

What an event is about travels beside its sentence (`extra=logs.about(…)`), so that a line can be
found by namespace, name, revision or reason without reading it. Lines of every library take the
same form. Standard library only: the router's first process writes them too.
"""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

FORMATS: Final = ("json", "text")
TEXT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"
_ABOUT: Final = "about"
_KOPF_REFERENCE: Final = "k8s_ref"  # kopf's own way of saying which object a line is about


def about(
    *,
    namespace: str | None = None,
    name: str | None = None,
    revision: str | None = None,
    reason: str | None = None,
) -> dict[str, Any]:
    """Give what a line is about, as `extra` of a logging call; absent fields are left out."""
    fields = {"namespace": namespace, "name": name, "revision": revision, "reason": reason}
    return {_ABOUT: {key: value for key, value in fields.items() if value}}


def begin(form: str, *, level: str, stream: TextIO | None = None) -> None:
    """Let every logger of this process write lines of one of `FORMATS`."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter(TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON; a traceback is a string in it."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_subject(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def _subject(record: logging.LogRecord) -> Mapping[str, Any]:
    """Read what a record is about; kopf says it in words of its own."""
    given = getattr(record, _ABOUT, None)
    if isinstance(given, Mapping):
        return given
    reference = getattr(record, _KOPF_REFERENCE, None)
    if isinstance(reference, Mapping):
        return {key: reference[key] for key in ("namespace", "name") if reference.get(key)}
    return {}
