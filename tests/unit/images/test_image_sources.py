"""Which files make an image, and that its name changes with them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from sandbox import images, places

COPY = re.compile(r"^COPY (?!--from)(.+) \S+$")
STAGE = re.compile(r"^FROM \S+ AS (\S+)$")


def copied_up_to(dockerfile: Path, target: str) -> set[str]:
    """Return what the stages up to and including `target` copy from the context."""
    found: set[str] = set()
    reached = False
    for line in dockerfile.read_text(encoding="utf-8").splitlines():
        if stage := STAGE.match(line):
            if reached:
                break
            reached = stage[1] == target
        elif copy := COPY.match(line):
            found.update(copy[1].split())
    return found


@pytest.mark.parametrize("name", get_args(images.BuiltImage))
def test_a_recipe_names_what_its_dockerfile_copies(name: images.BuiltImage) -> None:
    recipe = images.RECIPES[name]
    named = (*recipe.requirements, *recipe.sources, *recipe.stages_before)

    copied = copied_up_to(places.checkout() / recipe.dockerfile, recipe.target)

    def is_named(path: str) -> bool:
        return any(path == each or path.startswith(f"{each}/") for each in named)

    assert {path for path in copied if not is_named(path)} == set()
    assert set(recipe.requirements) <= copied


def test_a_router_starts_with_nothing_but_what_its_image_copies(tmp_path: Path) -> None:
    for source in images.RECIPES["router"].sources:
        path = places.checkout() / source
        target = tmp_path / Path(source).relative_to(Path(source).parts[0])
        if path.suffix == ".py":
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        elif path.is_dir():
            shutil.copytree(path, target)
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import slipway_operator.router"

    started = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"{script}.__main__"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert started.returncode == 0, started.stderr


@pytest.mark.parametrize("name", get_args(images.BuiltImage))
def test_everything_that_a_recipe_names_exists(name: images.BuiltImage) -> None:
    recipe = images.RECIPES[name]

    for path in (recipe.dockerfile, *recipe.requirements, *recipe.sources, *recipe.stages_before):
        assert (places.checkout() / path).exists()


def test_docker_sees_what_the_dockerfiles_copy() -> None:
    ignored = (places.checkout() / ".dockerignore").read_text(encoding="utf-8").splitlines()
    admitted = tuple(line.removeprefix("!") for line in ignored if line.startswith("!"))

    for recipe in images.RECIPES.values():
        for path in copied_up_to(places.checkout() / recipe.dockerfile, recipe.target):
            assert path.startswith(admitted)


def test_equal_content_has_an_equal_name(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for top in (one, two):
        (top / "package").mkdir(parents=True)
        (top / "package" / "module.py").write_text("x = 1", encoding="utf-8")

    assert images.content_hash(one, ["package"]) == images.content_hash(two, ["package"])


@pytest.mark.parametrize("change", ["content", "name", "mode", "new file", "salt"])
def test_any_change_of_content_changes_the_name(tmp_path: Path, change: str) -> None:
    file = tmp_path / "package" / "module.py"
    file.parent.mkdir()
    file.write_text("x = 1", encoding="utf-8")
    before = images.content_hash(tmp_path, ["package"])

    match change:
        case "content":
            file.write_text("x = 2", encoding="utf-8")
        case "name":
            file.rename(file.with_name("other.py"))
        case "mode":
            file.chmod(0o755)
        case "new file":
            (file.parent / "data.json").write_text("{}", encoding="utf-8")

    salt = "other base" if change == "salt" else ""
    assert images.content_hash(tmp_path, ["package"], salt=salt) != before


def test_compiled_python_changes_nothing(tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "__pycache__").mkdir(parents=True)
    (package / "module.py").write_text("x = 1", encoding="utf-8")
    before = images.content_hash(tmp_path, ["package"])

    (package / "__pycache__" / "module.cpython-311.pyc").write_bytes(b"\0")

    assert images.content_hash(tmp_path, ["package"]) == before


def test_the_oldest_archives_of_an_image_are_stale(tmp_path: Path) -> None:
    for age in range(5):
        for name in ("operator", "server"):
            file = tmp_path / f"{name}-{age}.tar"
            file.touch()
            os.utime(file, (100 - age, 100 - age))

    stale = {file.name for file in images.stale_archives(tmp_path, "operator")}

    assert stale == {"operator-3.tar", "operator-4.tar"}


def test_the_chart_is_told_the_archives_own_names() -> None:
    archives: dict[images.BuiltImage, images.ImageArchive] = {
        name: images.ImageArchive(f"slipway.local/{name}:abc", Path(f"{name}.tar"))
        for name in images.RECIPES
    }

    values = images.chart_values(archives)

    assert values["imageRegistry"] == "slipway.local"
    assert values["router"]["image"] == {
        "repository": "router",
        "tag": "abc",
        "pullPolicy": "IfNotPresent",
    }
    assert set(values) == {"imageRegistry", "operator", "router", "server"}
