"""Lines survive writing, several writers and looks at a growing file."""

import pytest

from bench import ledger

PROMISE = ledger.Promise(outcome="Aborted", weight=5, seconds_first_bad_to_zero=2.0)
ATTEMPT = ledger.Attempt(
    at=1.0, pod="p", revision="r", id="i", protocol="grpc", status="OK", seconds=0.1
)
LINES = (
    ledger.Request(
        id="i",
        protocol="rest",
        sent=1.0,
        received=None,
        status=None,
        revision=None,
        attempts=None,
        config=None,
        version=None,
        wrong=False,
        sample=3,
        error="reset",
    ),
    ATTEMPT,
    ledger.RolloutBegin(at=1.0, name="errors", version="1.2.0", promise=PROMISE),
    ledger.RolloutEnd(
        at=2.0, name="errors", candidate="c", outcome="Aborted", reason="Errors", problem=None
    ),
    ledger.Observation(
        at=1.0,
        phase="Serving",
        stable="s",
        candidate=None,
        weight_asked=0,
        weight_verified=0,
        reason=None,
        message=None,
    ),
    ledger.LoadEnd(at=9.0, requests=1, rate=1.0, seconds=1.0, late_s_max=0.0, cpu_share=0.1),
)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.KIND)
def test_every_kind_of_line_is_read_as_it_was_written(line):
    assert ledger.decode(ledger.encode(line)) == line


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"{}", b'{"kind":"unheard-of"}', b'{"kind":"attempt","at":1}'],
    ids=repr,
)
def test_what_is_no_line_is_refused(text):
    with pytest.raises(ledger.LedgerError, match="not a ledger line"):
        ledger.decode(text)


def test_fields_of_a_newer_version_are_passed_over():
    text = ledger.encode(ATTEMPT).replace(b'{"kind"', b'{"colour":"red","kind"')

    assert ledger.decode(text) == ATTEMPT


def test_several_writers_share_one_file(tmp_path):
    path = tmp_path / "deep" / "ledger.jsonl"

    with ledger.Writer(path) as one, ledger.Writer(path) as other:
        for line in LINES:
            one.write(line)
            other.write(line)

    assert sorted(map(repr, ledger.read(path))) == sorted(map(repr, LINES * 2))


def test_a_broken_line_is_named_by_its_number(tmp_path):
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(ledger.encode(ATTEMPT) + b"{\n")

    with pytest.raises(ledger.LedgerError, match=r"ledger\.jsonl:2:"):
        ledger.read(path)


def test_a_tail_yields_each_whole_line_once(tmp_path):
    path = tmp_path / "ledger.jsonl"
    text = ledger.encode(ATTEMPT)
    tail = ledger.Tail(path)

    seen = [len(list(tail.lines()))]
    for piece in (text, text[:10], text[10:] + text):
        with path.open("ab") as file:
            file.write(piece)
        seen.append(len(list(tail.lines())))

    assert seen == [0, 1, 0, 2]
