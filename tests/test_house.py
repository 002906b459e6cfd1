"""The house rules that a machine can hold: sizes, layers, names, freshness, what never mixes.

They are tests like any other: a rule that is not here is advice. What documents promise is held by
`tests/unit/docs`. Style and types are checked by `./dev lint`.
"""

import ast
import fnmatch
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from slipway_api import __main__ as definitions
from slipway_api import conditions, crd

TOP = Path(__file__).resolve().parents[1]
PACKAGE_FOLDERS = ("crds", "operator", "server", "plugin")
CODE_FOLDERS = (*PACKAGE_FOLDERS, "sandbox", "bench", "tests")

FILE_LINES_MAX = 400
TEST_FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
COLUMNS_MAX = 100
POSITIONAL_MAX = 3
BANNED_MODULES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}

# Everything else of the standard library touches clocks, chance, processes or the outer world.
PURE_MODULES = {
    "collections",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "hashlib",
    "itertools",
    "json",
    "math",
    "operator",
    "re",
    "types",
    "typing",
}
ALLOWED_IMPORTS = {
    "engine": {*PURE_MODULES, "slipway_api", "slipway_operator.engine"},
    "render": {
        *PURE_MODULES,
        "slipway_api",
        "slipway_operator.engine",
        "slipway_operator.render",
        "envoy",  # generated messages
        "google.protobuf",
    },
}

# Written in pieces, so that this file does not hold what it forbids.
FORBIDDEN_WORDS = tuple(
    "".join(parts)
    for parts in (
        (r"\b(docker|quay|gcr|ghcr)\.", r"io\b"),
        (r"registry\.", r"(k8s|npmjs)\."),
        (r"\b(files\.python", r"hosted|pypi)\.org\b"),
        (r"(proxy|sum)\.golang\.", r"org\b"),
        (r"\bdeb\.debian\.", r"org\b"),
        (r"(^|[\s\"'(=:])/(work|root)", r"/[\w.]"),
        (r"\bAKIA", r"[0-9A-Z]{16}\b"),
        (r"-----BEGIN", r" [A-Z ]*PRIVATE KEY"),
        (r"\b[Ii]ssue ", r"#?\d"),
        (r"\b(DES", "IGN|FIX", "ME|X", "XX|TO", r"DO)\b"),
    )
)
# Where such words are data of others, and where a rule needs an example.
EXEMPT_FROM_WORDS = ("requirements/*.txt", "sandbox/go/*/go.*", "LICENSE")


@cache
def tracked() -> list[Path]:
    """List the files of the checkout, also where it is no git repository."""
    asked = subprocess.run(
        ["git", "-C", str(TOP), "ls-files", "-z"], capture_output=True, text=True, check=False
    )
    if asked.returncode == 0:
        return [TOP / name for name in asked.stdout.split("\0") if name and (TOP / name).exists()]
    hidden = re.compile(r"(^|/)(\.(?!ci/)|__pycache__|build/|.*\.egg-info)")
    return [
        path
        for path in TOP.rglob("*")
        if path.is_file() and not hidden.search(path.relative_to(TOP).as_posix())
    ]


@cache
def sources() -> list[Path]:
    return sorted(
        path
        for path in tracked()
        if path == TOP / "dev"
        or (path.suffix == ".py" and path.relative_to(TOP).parts[0] in CODE_FOLDERS)
    )


@cache
def trees() -> dict[Path, ast.Module]:
    """Parse all code, once and only if a test asks: every worker imports this file."""
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sources()}


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a source file; public: neither it nor what it is in begins with `_`."""

    path: Path
    node: ast.FunctionDef | ast.AsyncFunctionDef
    is_public: bool

    @property
    def where(self) -> str:
        return f"{shown(self.path)}:{self.node.lineno} {self.node.name}"

    @property
    def decorators(self) -> list[str]:
        return [ast.unparse(decorator) for decorator in self.node.decorator_list]


def shown(path: Path) -> str:
    return path.relative_to(TOP).as_posix()


def is_test(path: Path) -> bool:
    return path.relative_to(TOP).parts[0] == "tests"


def is_packaged(path: Path) -> bool:
    parts = path.relative_to(TOP).parts
    return parts[0] in PACKAGE_FOLDERS and parts[1].startswith("slipway_")


def functions(path: Path, node: ast.AST, *, is_public: bool = True) -> Iterator[Function]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Function(path, child, is_public and not child.name.startswith("_"))
            yield from functions(path, child, is_public=False)
        elif isinstance(child, ast.ClassDef):
            public = is_public and not child.name.startswith("_")
            yield from functions(path, child, is_public=public)
        elif not isinstance(child, ast.expr):  # which holds no definitions
            yield from functions(path, child, is_public=is_public)


@cache
def all_functions() -> list[Function]:
    return [function for path, tree in trees().items() for function in functions(path, tree)]


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield str(node.module)


def locked(name: str) -> set[str]:
    """Name the distributions that a file of requirements/ holds."""
    text = (TOP / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return {match[1].lower() for match in re.finditer(r"^([A-Za-z0-9][\w.-]*)==", text, re.M)}


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=TOP,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_files_are_short() -> None:
    long = {}
    for path in sources():
        count = len(path.read_text(encoding="utf-8").splitlines())
        if count > (TEST_FILE_LINES_MAX if is_test(path) else FILE_LINES_MAX):
            long[shown(path)] = count

    assert long == {}


def test_functions_are_short() -> None:
    long = {}
    for function in all_functions():
        count = (function.node.end_lineno or 0) - function.node.lineno + 1
        if count > FUNCTION_LINES_MAX:
            long[function.where] = count

    assert long == {}


def test_lines_are_short() -> None:
    dockerfiles = [path for path in tracked() if path.name.startswith("Dockerfile.")]
    long = [
        f"{shown(path)}:{number}"
        for path in (*sources(), *dockerfiles)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > COLUMNS_MAX
    ]

    assert long == []


def test_functions_take_few_positional_parameters() -> None:
    crowded = []
    for function in all_functions():
        given = function.node.args
        named = [each.arg for each in (*given.posonlyargs, *given.args)]
        # pytest gives parameters of tests and fixtures by name.
        is_pytest = is_test(function.path) and (
            function.node.name.startswith("test_")
            or any("fixture" in decorator for decorator in function.decorators)
        )
        if len([name for name in named if name not in ("self", "cls")]) > POSITIONAL_MAX:
            crowded += [] if is_pytest else [function.where]

    assert crowded == [], "give the rest by name: put `*` before them"


def test_modules_say_why_they_exist() -> None:
    silent = [
        shown(path)
        for path, tree in trees().items()
        if len(ast.get_docstring(tree) or "") < len("A sentence.")
    ]

    assert silent == []


def test_public_functions_of_the_packages_say_what_they_do() -> None:
    silent = [
        function.where
        for function in all_functions()
        if is_packaged(function.path)
        and function.is_public
        and not ast.get_docstring(function.node)
        # A property is a noun, a rule of the contract has its message.
        and not any(re.match(r"property$|rule\(", each) for each in function.decorators)
    ]

    assert silent == []


def test_modules_are_named_after_what_they_hold() -> None:
    vague = [
        shown(path)
        for path in sources()
        if BANNED_MODULES & {path.stem, *path.relative_to(TOP).parts[:-1]}
    ]

    assert vague == []


def test_every_import_of_our_own_is_there() -> None:
    """Also in tests that need a cluster, and so are run later than the change that breaks them."""
    ours = {"bench", "sandbox", "tests"}
    lost = [
        f"{shown(path)}: {name}"
        for path, tree in trees().items()
        for name in imports(tree)
        if name.partition(".")[0] in ours and not is_module(name)
    ]

    assert lost == []


def is_module(name: str) -> bool:
    """Tell whether a dotted name is a module or a folder of them."""
    found = TOP.joinpath(*name.split("."))
    return found.is_dir() or found.with_suffix(".py").is_file()


def test_engine_and_render_import_nothing_that_acts() -> None:
    wrong = []
    for layer, allowed in ALLOWED_IMPORTS.items():
        for path in (TOP / "operator" / "slipway_operator" / layer).rglob("*.py"):
            wrong += [
                f"{shown(path)} imports {name}"
                for name in imports(ast.parse(path.read_text(encoding="utf-8")))
                if not any(name == each or name.startswith(f"{each}.") for each in allowed)
            ]

    assert wrong == []


def test_engine_and_render_call_nothing_that_acts() -> None:
    acting = re.compile(r"^(open|input|print|exec|eval|__import__|\w*date\w*\.(now|today|utcnow))$")
    wrong = [
        f"{shown(path)}:{node.lineno} calls {ast.unparse(node.func)}"
        for path, tree in trees().items()
        if is_packaged(path) and {"engine", "render"} & set(path.relative_to(TOP).parts)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and acting.match(ast.unparse(node.func))
    ]

    assert wrong == []


def test_layers_hold() -> None:
    linted = run(
        str(Path(sys.executable).with_name("lint-imports")),
        "--no-cache",
        PYTHONPATH=os.pathsep.join(PACKAGE_FOLDERS),
    )

    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_the_definitions_are_fresh() -> None:
    # What is rendered from the chart, and the identity model, are held by tests of their own.
    stale = [
        kind.plural
        for kind in crd.KINDS
        if definitions.file_of(kind, TOP / "crds").read_text() != definitions.text_of(kind)
    ]

    assert stale == [], "run `./dev generate`"


def test_every_word_of_the_status_is_used() -> None:
    texts = [
        path.read_text(encoding="utf-8")
        for path in sources()
        if is_packaged(path) and path.name != "conditions.py"
    ]
    used = {match for text in texts for match in re.findall(r"\b[A-Z]\w+\.[A-Z_]+\b", text)}
    words = {
        f"{vocabulary.__name__}.{word.name}"
        for vocabulary in (conditions.ConditionType, conditions.Phase, conditions.Reason)
        for word in vocabulary
    }

    assert sorted(words - used) == []


@pytest.mark.parametrize("flags", [(), ("-S",)], ids=["usual", "without site"])
def test_the_folder_operator_hides_nothing_of_python(flags: tuple[str, ...]) -> None:
    code = "import collections, operator; print(operator.__file__); operator.add"
    asked = run(sys.executable, *flags, "-c", code, PYTHONPATH=".")

    assert asked.returncode == 0, asked.stderr
    assert not Path(asked.stdout.strip()).is_relative_to(TOP)


def test_the_folder_operator_holds_its_package_and_nothing_else() -> None:
    # Any module here, a test or a conftest too, would become Python's own `operator`.
    found = {path.name for path in (TOP / "operator").iterdir()}
    below = (TOP / "operator").rglob("*.py")

    assert {each for each in found if each != "__pycache__"} == {"slipway_operator"}
    assert not any(path.name.startswith(("test_", "conftest")) for path in below)


@pytest.mark.parametrize(
    ("image", "unwanted"),
    [
        ("operator", {"numpy", "onnxruntime", "kubernetes", "tritonclient", "fastapi"}),
        ("server", {"kopf", "kubernetes", "xds-protos", "python-multipart", "schemathesis"}),
        ("router", {"kopf", "kubernetes", "pydantic", "numpy", "grpcio", "aiohttp"}),
    ],
)
def test_an_image_holds_nothing_of_the_others(image: str, unwanted: set[str]) -> None:
    held = locked(image)

    assert held
    assert held & unwanted == set()


def test_every_locked_requirement_has_a_hash() -> None:
    without = []
    for path in sorted((TOP / "requirements").glob("*.txt")):
        entries = re.split(r"\n(?=[A-Za-z0-9])", path.read_text(encoding="utf-8"))
        without += [
            f"{path.name}: {entry.split()[0]}"
            for entry in entries
            if "==" in entry and "--hash=sha256:" not in entry
        ]

    assert without == []


def test_nothing_names_a_registry_a_machine_or_a_workplace() -> None:
    own = [re.escape(f"{place}/") for place in (TOP, Path.home()) if len(place.parts) > 2]
    forbidden = re.compile("|".join((*FORBIDDEN_WORDS, *own)))
    found = []
    for path in tracked():
        if any(fnmatch.fnmatch(shown(path), each) for each in EXEMPT_FROM_WORDS):
            continue
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            match = forbidden.search(line.decode(errors="ignore"))
            found += [f"{shown(path)}:{number}: {match[0]}"] if match else []

    assert found == []


def test_the_licence_is_apache_2() -> None:
    text = " ".join((TOP / "LICENSE").read_text(encoding="utf-8").split())
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert text.startswith("Apache License Version 2.0, January 2004")
    assert "END OF TERMS AND CONDITIONS" in text
    assert project["license"] == "Apache-2.0"


def test_programs_are_executable() -> None:
    for name in ("dev", ".ci/run"):
        assert os.access(TOP / name, os.X_OK), name
        assert (TOP / name).read_text(encoding="utf-8").startswith("#!"), name
