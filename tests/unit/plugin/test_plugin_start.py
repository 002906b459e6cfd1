"""The program as one file: it starts in a moment, is small, and ends as promised."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from sandbox import plugin_archive
from slipway_plugin import command_line, looking
from slipway_plugin.exits import PluginError
from tests.samples import plugin_objects as samples

START_S_MAX: Final = 0.060  # beyond bare Python's own start
ROUNDS: Final = 7
SIZE_BYTES_MAX: Final = 300_000


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plugin_archive.build(tmp_path_factory.mktemp("plugin")) / plugin_archive.NAME


def run(program: Path, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", str(program), *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={"PATH": "/nowhere", "PYTHONIOENCODING": "utf-8"},
    )


def processor_s(*command: str) -> float:
    """Measure the processor time of a run: other programs of a busy machine do not count."""
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return usage.ru_utime + usage.ru_stime


def test_help_comes_at_once(program: Path) -> None:
    """The quickest of several counts: what else a machine does only adds to it."""
    bare = min(processor_s("-I", "-c", "pass") for _ in range(ROUNDS))
    told = min(processor_s("-I", str(program), "--help") for _ in range(ROUNDS))

    assert told - bare <= START_S_MAX


def test_help_imports_neither_screens_nor_kubectl() -> None:
    code = (
        "import sys; from slipway_plugin import command_line; command_line.overview().format_help()"
    )
    code += "; print([name for name in sys.modules if name.startswith('slipway_plugin.')])"
    plugin = Path(__file__).parents[3] / "plugin"
    asked = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(plugin)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert set(json.loads(asked.stdout.replace("'", '"'))) == {
        "slipway_plugin.command_line",
        "slipway_plugin.contract",
    }


def test_the_program_is_small_and_always_the_same(program: Path, tmp_path: Path) -> None:
    again = plugin_archive.build(tmp_path) / plugin_archive.NAME

    assert program.read_bytes() == again.read_bytes()
    assert program.stat().st_size <= SIZE_BYTES_MAX
    assert os.access(program, os.X_OK)


@pytest.mark.parametrize("arguments", [(), ("sttaus",), ("status", "-o", "xml"), ("plan",)])
def test_usage_that_is_wrong_ends_with_one(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line.parse(arguments)

    assert ended.value.code == 1
    assert "usage: kubectl slipway" in capsys.readouterr().err


def test_help_of_everything_fits_eighty_columns() -> None:
    parsers = [command_line.overview(), *map(command_line.verb_parser, command_line.VERBS)]

    long = [line for made in parsers for line in made.format_help().splitlines() if len(line) > 80]

    assert long == []


def test_without_kubectl_it_says_what_is_missing(program: Path) -> None:
    ended = run(program, "status", "churn")

    assert ended.returncode == 1
    assert "kubectl slipway: cannot run kubectl" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_plan_of_json_needs_neither_cluster_nor_kubectl(program: Path) -> None:
    manifest = json.dumps(samples.deployment({}), indent=1)

    ended = run(program, "plan", "-f", "-", "-o", "json", text=manifest)

    assert ended.returncode == 0, ended.stderr
    assert [step["weight"] for step in json.loads(ended.stdout)["steps"]] == [5, 25, 50]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("{", "is not JSON"), ('{"kind": "Pod"}', "holds no ModelDeployment")],
)
def test_a_file_that_holds_no_deployment_is_an_error(
    text: str, complaint: str, tmp_path: Path
) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(text)

    with pytest.raises(PluginError, match=complaint):
        looking.plan_of(command_line.parse(["plan", "-f", str(file)]))
