"""Documents tell the truth where a machine can see it: links, commands, tables, examples."""

import fnmatch
import functools
import itertools
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench import demo
from bench.conformance import cli as conformance
from bench.rollouts import __main__ as bench_rollouts
from bench.server import __main__ as bench_server
from sandbox import cli
from slipway_api import conditions, crd, names
from slipway_api.model_deployment import ModelDeploymentSpec
from slipway_operator.engine import commands
from slipway_operator.shell import settings as operator_settings
from slipway_server import settings, termination
from slipway_server.core.errors import ErrorKind
from slipway_server.rest import errors as rest_errors
from slipway_server.rpc import errors as rpc_errors
from tests.writes import __main__ as proof_of_writes

TOP = Path(__file__).resolve().parents[3]
DOCUMENTS = sorted((*TOP.glob("*.md"), *TOP.glob("docs/**/*.md")))
IDS = [path.relative_to(TOP).as_posix() for path in DOCUMENTS]
ADR = TOP / "docs" / "adr"
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.S)

every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=IDS)


def text_of(*parts: str) -> str:
    return TOP.joinpath(*parts).read_text(encoding="utf-8")


@functools.cache
def files() -> tuple[str, ...]:
    """List the files of the project."""
    found = []
    for parent, children, names_ in os.walk(TOP):
        children[:] = [
            each
            for each in children
            if (each == ".ci" or not each.startswith((".", "__", "build")))
            and not each.endswith(".egg-info")
        ]
        found += [Path(parent, name).relative_to(TOP).as_posix() for name in names_]
    return tuple(found)


def folders() -> list[str]:
    """List the folders that hold files of the project."""
    return sorted({str(Path(file).parent) for file in files()} - {"."})


def table_rows(text: str, heading: str) -> list[list[str]]:
    """Read the cells of the first table below a heading, code marks taken off."""
    after = text.split(f"\n## {heading}\n", 1)[1]
    lines = [line for line in after.split("\n## ", 1)[0].splitlines() if line.startswith("|")]
    first = list(itertools.takewhile(lambda line: line.startswith("|"), lines))
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in first[2:]]


def first_cells(text: str, heading: str) -> set[str]:
    return {row[0] for row in table_rows(text, heading)}


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def dev_commands(text: str) -> Iterator[list[str]]:
    """Find every call of ./dev in code, as words."""
    for code in CODE.findall(text):
        for found in re.finditer(r"\./dev((?: +[^`\n;&|#()]+)?)", code):
            words = found[1].split('"')[0] if found[1].count('"') % 2 else found[1]
            yield shlex.split(words)


def yaml_blocks(text: str) -> list[Mapping[str, Any]]:
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.S)]


@functools.cache
def schema_of(plural: str) -> Mapping[str, Any]:
    kind = next(kind for kind in crd.KINDS if kind.plural == plural)
    version: Mapping[str, Any] = crd.definition(kind)["spec"]["versions"][0]
    return dict(version["schema"]["openAPIV3Schema"])


@every_document
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file) if file else path
        is_there = found.exists() and found.resolve().is_relative_to(TOP)
        if not is_there or (anchor and anchor not in anchors(found.read_text(encoding="utf-8"))):
            broken.append(target)

    assert broken == []


@every_document
def test_files_that_are_named_exist(path: Path) -> None:
    """A path in code marks may leave out its first folders, and may have a star."""
    named = re.findall(
        r"`([\w.*/-]+/[\w.*-]+\.(?:py|md|yaml|json|txt|sum))`", path.read_text("utf-8")
    )

    absent = [
        each
        for each in named
        if not any(fnmatch.fnmatch(f"/{file}", f"*/{each}") for file in files())
    ]

    assert absent == []


@every_document
def test_commands_of_dev_exist(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = []
    for words in dev_commands(path.read_text(encoding="utf-8")):
        try:
            if words[:1] == ["demo"]:
                demo._parse(words[1:])
            elif words[:1] == ["report"]:
                assert len(words) <= 2, "report takes a ledger"
            elif words[:2] == ["bench", "server"]:
                bench_server.parse(words[2:])
            elif words[:2] == ["bench", "rollouts"]:
                bench_rollouts.parse(words[2:])
            elif words[:2] == ["proof", "writes"]:
                proof_of_writes.parse(words[2:])
            elif words[:1] == ["conformance"]:
                conformance.parse(words[1:] or ["--help"])
            else:
                # A bare name in a sentence means the command, not a call of it.
                cli._parser().parse_args(words if len(words) > 1 else [*words, "--help"])
        except SystemExit as end:
            if end.code:
                wrong.append(f"{' '.join(words)}: {capsys.readouterr().err.splitlines()[-1]}")

    assert wrong == []


@every_document
def test_examples_are_accepted_by_the_contract(path: Path) -> None:
    for document in yaml_blocks(path.read_text(encoding="utf-8")):
        assert document["apiVersion"] == names.API_VERSION
        assert document["kind"] == names.MODEL_DEPLOYMENT_KIND
        spec = ModelDeploymentSpec.model_validate(document["spec"])

        written = spec.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)

        assert written == document["spec"], "the example has fields that do not exist"


@every_document
def test_fields_of_the_status_that_are_asked_for_exist(path: Path) -> None:
    status = schema_of(names.MODEL_DEPLOYMENT_PLURAL)["properties"]["status"]
    for asked in re.findall(r"(?<![\w-])\.?status\.([\w.]+)", path.read_text(encoding="utf-8")):
        node = status
        for name in asked.rstrip(".").split("."):
            node = node.get("items", node)
            assert name in node.get("properties", {}), f"status.{asked}"
            node = node["properties"][name]


@every_document
def test_commands_in_annotations_have_their_form(path: Path) -> None:
    for value in re.findall(r"slipway\.dev/command=(\S+?)\"", path.read_text(encoding="utf-8")):
        found = commands.parse(value.replace("$candidate", "churn-0a1b2c3d4e"))

        assert isinstance(found, commands.Command), found


def test_every_folder_has_a_row_in_the_code_map() -> None:
    rows = [cell.rstrip("/") for cell in first_cells(text_of("ARCHITECTURE.md"), "Code map")]

    missing = [
        folder for folder in folders() if not any(fnmatch.fnmatch(folder, row) for row in rows)
    ]
    dead = [row for row in rows if not list(TOP.glob(row))]

    assert missing == []
    assert dead == []


def test_documents_stay_readable() -> None:
    style = text_of("CONTRIBUTING.md").split("\n## Style\n")[1].split("\n## ")[0]

    assert len(text_of("ARCHITECTURE.md").splitlines()) <= 300
    assert len(style.splitlines()) <= 60
    for path in ADR.glob("0*.md"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 45, path.name


def test_decisions_are_numbered_listed_and_whole() -> None:
    found = sorted(path.name for path in ADR.glob("0*.md"))
    index = text_of("docs", "adr", "README.md")

    assert [name[:4] for name in found] == [f"{n:04}" for n in range(1, len(found) + 1)]
    assert [name for name in found if f"({name})" not in index] == []
    for name in found:
        headings = re.findall(r"^## (.+)$", text_of("docs", "adr", name), re.M)
        assert headings == ["Question", "Decision", "Rejected", "Consequences"], name


@pytest.mark.parametrize(
    ("heading", "vocabulary"),
    [
        ("Phases", conditions.Phase),
        ("Conditions", conditions.ConditionType),
        ("Reasons", conditions.Reason),
    ],
)
def test_operations_explain_every_word_of_the_status(heading: str, vocabulary: Any) -> None:
    explained = first_cells(text_of("docs", "operations.md"), heading)

    assert explained == {str(word) for word in vocabulary}


def test_operations_explain_every_command_and_outcome() -> None:
    text = text_of("docs", "operations.md")

    for verb in commands.Verb:
        assert f"`{verb}@REVISION#NONCE`" in text
    for outcome in conditions.Outcome:
        assert f"`{outcome}`" in text


def test_the_glossary_has_the_words_of_the_contract() -> None:
    text = text_of("docs", "glossary.md")
    words = (*commands.Verb, *conditions.VerdictState, "stable", "candidate", "revision")

    assert [word for word in words if not re.search(rf"\b{word}\b", text)] == []


def test_settings_of_the_model_server_are_all_listed() -> None:
    rows = {row[0]: row[1] for row in table_rows(text_of("docs", "model-server.md"), "Settings")}
    defaults = {field.name.upper(): field.default for field in fields(settings.Settings)}

    assert rows.keys() == defaults.keys()
    for name, default in defaults.items():
        if isinstance(default, int | float | Path) or default in ("off", "1", "0.0.0.0"):
            assert rows[name] == f"{default:g}" if isinstance(default, float) else str(default), (
                name
            )


def test_settings_of_the_operator_are_all_listed() -> None:
    rows = first_cells(text_of("docs", "operations.md"), "Settings of the operator")
    asked: set[str] = set()

    class Environment(dict[str, str]):
        def get(self, name: str, default: Any = None) -> Any:
            asked.add(name)
            return super().get(name, default)

    required = ("NAMESPACE", "POD", "SERVER_IMAGE")
    given = {operator_settings.PREFIX + name: "x" for name in required}
    operator_settings.read(Environment(given))

    assert rows == asked


def test_errors_of_the_model_server_are_all_listed() -> None:
    rows = table_rows(text_of("docs", "model-server.md"), "Errors")

    told = {(row[1].split()[0], row[2]) for row in rows}

    assert told == {
        (str(rest_errors.STATUSES[kind]), rpc_errors.CODES[kind].name) for kind in ErrorKind
    }


def test_exit_codes_of_the_model_server_are_all_listed() -> None:
    told = first_cells(text_of("docs", "model-server.md"), "How it ends")

    assert told == {"0", str(termination.EXIT_TRANSIENT), str(termination.EXIT_PERMANENT)}


def test_image_builds_name_dockerfiles_and_targets_that_exist() -> None:
    builds = re.findall(
        r"docker build -f (\S+)(?: --target (\S+))? -t \S*?(\w+):\S+ \.", text_of("README.md")
    )

    assert [name for _, _, name in builds] == ["operator", "router", "server"]
    for file, target, name in builds:
        assert re.search(rf" AS {target or name}$", text_of(file), re.M), file


def test_helm_values_that_are_set_exist() -> None:
    values = yaml.safe_load(text_of("charts", "slipway", "values.yaml"))

    for path in DOCUMENTS:
        for name in re.findall(r"--set ([\w.]+)=", path.read_text(encoding="utf-8")):
            node = values
            for part in name.split("."):
                assert part in node, f"{path.name}: --set {name}"
                node = node[part]
