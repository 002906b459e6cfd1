"""A folder of models: which names and versions it has, and what leads out of it."""

from pathlib import Path

import pytest

from slipway_server.core.errors import ErrorKind, LoadError, ServingError
from slipway_server.storage.repository import Repository


def lay(root: Path, *files: str) -> Path:
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def numbers(root: Path, name: str) -> list[str]:
    return [version.number for version in Repository(root).versions(name)]


def test_models_are_folders_with_a_name_that_may_be_asked_for(tmp_path):
    lay(tmp_path, "churn/1/model.onnx", "a.b-c/1/model.onnx", ".hidden/1/model.onnx", "README.md")

    assert Repository(tmp_path).names() == ("a.b-c", "churn")


def test_versions_are_numbers_and_the_highest_comes_last(tmp_path):
    files = [f"m/{name}/model.onnx" for name in ("10", "2", "01", "0", "draft", "1.5")]
    lay(tmp_path, *files, "m/config.pbtxt", "m/3")

    assert numbers(tmp_path, "m") == ["2", "10"]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../m", "m/1", "/etc", "m\\1", "%2e%2e", ".m", "m\n", "m" * 129, "m\0"]
)
def test_what_could_be_a_path_is_no_name(tmp_path, name):
    lay(tmp_path, "m/1/model.onnx")

    with pytest.raises(ServingError, match="a model's name is") as caught:
        Repository(tmp_path).versions(name)

    assert ErrorKind.INVALID_INPUT is caught.value.kind


def test_a_model_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(ServingError) as caught:
        Repository(tmp_path).versions("m")

    assert ErrorKind.NOT_FOUND is caught.value.kind


def test_a_model_without_versions_says_how_to_lay_one(tmp_path):
    lay(tmp_path, "m/model.onnx")

    with pytest.raises(LoadError, match=r"m/1/model\.onnx"):
        Repository(tmp_path).versions("m")


@pytest.mark.parametrize("link", ["m", "m/1", "m/1/model.onnx", "m/1/weights/big.bin"])
def test_a_link_out_of_the_repository_is_refused(tmp_path, link):
    outside = lay(tmp_path / "outside", "1/model.onnx", "model.onnx", "big.bin")
    root = lay(tmp_path / "root", "other/1/model.onnx")
    files = {"m": outside, "m/1": outside / "1"}
    if link not in files:
        lay(root, "m/1/model.onnx", "m/1/weights/x")
    (root / link).unlink(missing_ok=True)
    (root / link).parent.mkdir(parents=True, exist_ok=True)
    (root / link).symlink_to(files.get(link, outside / Path(link).name))

    with pytest.raises(LoadError, match="leads out of the model repository"):
        Repository(root).versions("m")


def test_links_within_the_repository_are_followed_as_volumes_of_kubernetes_have_them(tmp_path):
    lay(tmp_path, "..2026/m/1/model.onnx")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "m").symlink_to("..data/m")

    assert numbers(tmp_path, "m") == ["1"]


def test_a_repository_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(LoadError, match="nowhere cannot be read: No such file"):
        Repository(tmp_path / "nowhere").names()
