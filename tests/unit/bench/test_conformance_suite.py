"""The suite is a list of named claims, and skips what a server does not have."""

from collections import Counter

import aiohttp
import pytest

from bench.conformance import cli, models
from bench.conformance.cases import Group
from bench.conformance.expect import SkippedError
from bench.conformance.models import NAMES, Kind
from bench.conformance.subject import Model, Server, Subject
from bench.conformance.suite import CASES


async def passes(subject: Subject) -> None:
    """A case without a claim."""


async def subject(*kinds: Kind, extensions: tuple[str, ...] = ()) -> Subject:
    async with aiohttp.ClientSession() as session:  # which is never used
        return Subject(
            url="http://127.0.0.1:1",
            session=session,
            server=Server("some-server", "1", extensions),
            models={kind: Model(NAMES[kind], ("1",)) for kind in kinds},
            absent={kind: f"no {kind}" for kind in Kind if kind not in kinds},
        )


def test_every_case_has_a_name_of_its_own_and_a_section() -> None:
    names = Counter((case.group, case.name) for case in CASES)

    assert {name for name, count in names.items() if count > 1} == set()
    assert all(case.section and case.name and case.group for case in CASES)


def test_items_make_cases_in_their_order() -> None:
    async def check(_: Subject, __: str) -> None:
        """Take an item."""

    made = Group("g", section="s").each(["a", "b"], name=lambda item: f"case {item}")(check)

    assert [(case.name, case.group, case.section) for case in made] == [
        ("case a", "g", "s"),
        ("case b", "g", "s"),
    ]


@pytest.mark.parametrize(
    ("group", "words"),
    [
        (Group("g", section="s", model=Kind.TYPED), "no typed"),
        (Group("g", section="s", extension="statistics"), "statistics"),
        (Group("g", section="s", needs_grpc=True), "--grpc"),
    ],
)
async def test_a_case_is_skipped_where_the_server_lacks_what_it_needs(
    group: Group, words: str
) -> None:
    case = group.case("a case")(passes)

    with pytest.raises(SkippedError, match=words):
        await case.check(await subject(Kind.SIMPLE))


async def test_a_case_runs_where_the_server_has_what_it_needs() -> None:
    group = Group("g", section="s", model=Kind.SIMPLE, extension="statistics")

    await group.case("a case")(passes).check(await subject(Kind.SIMPLE, extensions=("statistics",)))


def test_a_model_without_versions_skips_what_is_asked_of_one() -> None:
    with pytest.raises(SkippedError, match="versions"):
        Model("simple", ()).version_path()


def test_models_are_configured_with_whole_shapes() -> None:
    assert models.configuration(Kind.IDENTITY).splitlines() == [
        'name: "identity"',
        'backend: "onnxruntime"',
        "max_batch_size: 0",
        'input { name: "INPUT0" data_type: TYPE_FP32 dims: [-1, 4] }',
        'output { name: "OUTPUT0" data_type: TYPE_FP32 dims: [-1, 4] }',
    ]


def test_options_rename_models() -> None:
    target = cli.parse(["http://127.0.0.1:8080/", "--simple", "add_sub", "--only", "simple"]).target

    assert target.url == "http://127.0.0.1:8080"
    assert target.names == {**NAMES, Kind.SIMPLE: "add_sub"}
    assert target.only is Kind.SIMPLE


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["127.0.0.1:8080"],
        ["https://127.0.0.1:8080"],
        ["http://127.0.0.1", "--export", "models"],
        ["http://127.0.0.1", "--only", "other"],
        ["http://127.0.0.1", "--peer", "slipway"],
        ["--peer", "other"],
        ["--peer", "slipway", "--only", "simple"],
        ["--peer", "slipway", "--simple", "other"],
    ],
    ids=str,
)
def test_a_command_line_that_makes_no_sense_is_refused(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.parse(words)

    assert "error:" in capsys.readouterr().err
