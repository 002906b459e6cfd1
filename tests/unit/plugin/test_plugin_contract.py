"""What the plugin knows of the contract is what the contract says, and it stands alone."""

import ast
import importlib
import sys
import tomllib
from pathlib import Path

import pytest

from slipway_api import conditions, names
from slipway_api.analysis import BAD_ANSWERS_MAX, Insufficient
from slipway_api.base import duration_s
from slipway_api.model_deployment import ModelDeployment, default_strategy
from slipway_api.status import ModelDeploymentStatus
from slipway_api.workload import Compute
from slipway_operator.engine import commands
from slipway_plugin import contract, explanation, wording
from tests.samples import plugin_objects

SOURCES = sorted((Path(__file__).parents[3] / "plugin" / "slipway_plugin").glob("*.py"))


def test_names_and_words_are_those_of_the_contract() -> None:
    assert contract.API_VERSION == names.API_VERSION
    assert contract.KIND == names.MODEL_DEPLOYMENT_KIND
    assert contract.RESOURCE == f"{names.MODEL_DEPLOYMENT_PLURAL}.{names.GROUP}"
    assert contract.LABEL_DEPLOYMENT == names.LABEL_DEPLOYMENT
    assert contract.LABEL_REVISION == names.LABEL_REVISION
    assert contract.ANNOTATION_COMMAND == names.ANNOTATION_COMMAND
    assert contract.ENV_MODEL == f"{names.SERVER_ENV_PREFIX}MODEL_"
    assert set(contract.COMMANDS) == set(commands.Verb)
    assert set(contract.PHASES) == set(conditions.Phase)
    assert set(contract.OUTCOMES) == set(conditions.Outcome)
    assert contract.READY == conditions.ConditionType.READY
    assert contract.STALLED_CONDITION == conditions.ConditionType.STALLED


def test_defaults_are_those_of_the_contract() -> None:
    canary = default_strategy().canary
    assert canary is not None

    steps = tuple({"weight": step.weight, "hold": step.hold} for step in canary.steps)

    assert contract.DEFAULT_STEPS == steps
    assert (contract.DEFAULT_REPLICAS, contract.DEFAULT_POOL) == (
        Compute().replicas,
        Compute().pool,
    )
    assert contract.BAD_ANSWERS_MAX == BAD_ANSWERS_MAX
    assert contract.DEFAULT_INSUFFICIENT == Insufficient().model_dump()


@pytest.mark.parametrize("text", ["2m", "1m30s", "250ms", "1.5h", "0s"])
def test_durations_are_read_as_the_operator_reads_them(text: str) -> None:
    assert wording.duration_s(text) == pytest.approx(duration_s(text))


def test_reasons_with_advice_exist() -> None:
    assert set(explanation.LOOK) <= set(conditions.Reason)


@pytest.mark.parametrize("name", plugin_objects.ALL)
def test_the_samples_of_these_tests_are_what_the_operator_writes(name: str) -> None:
    written = plugin_objects.deployment(plugin_objects.ALL[name])

    ModelDeployment.model_validate(written)
    fields = {field.alias for field in ModelDeploymentStatus.model_fields.values()}

    assert set(written["status"]) <= fields


def test_pip_makes_a_program_of_it_with_the_version_of_the_project() -> None:
    top = Path(__file__).parents[3]
    own, whole = (
        tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for folder in (top / "plugin", top)
    )

    module, _, function = own["scripts"]["kubectl-slipway"].partition(":")

    assert callable(getattr(importlib.import_module(module), function))
    assert (own["version"], own["dependencies"]) == (whole["version"], [])


def test_it_imports_the_standard_library_and_itself_alone() -> None:
    foreign = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            found += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            tops = {each.partition(".")[0] for each in found}
            foreign += [f"{path.name}: {top}" for top in tops - sys.stdlib_module_names]

    assert {each.partition(": ")[2] for each in foreign} == {"slipway_plugin"}
