"""Where a model lies, which file it is, what its digest is, and how long to try."""

import hashlib
import os
import subprocess

import pytest

from slipway_server.core.errors import LoadError
from slipway_server.storage import digest, fetch, layout, locations
from slipway_server.storage.locations import HttpFile, LocalPath, S3Objects
from slipway_server.storage.patience import PAUSES_S, Patience


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://models/churn/1.3.0", S3Objects("models", "churn/1.3.0")),
        ("s3://models/churn/1.3.0/", S3Objects("models", "churn/1.3.0")),
        ("https://h/a/m.onnx?sig=1", HttpFile("https://h/a/m.onnx?sig=1", "m.onnx")),
        ("http://h:81/m%20x", HttpFile("http://h:81/m%20x", "m x")),
    ],
)
def test_uris_are_told_apart(uri, expected):
    assert expected == locations.parse(uri)


def test_a_file_uri_is_a_path():
    location = locations.parse("file:///models/a%20b")

    assert isinstance(location, LocalPath)
    assert str(location.path) == "/models/a b"


@pytest.mark.parametrize(
    "uri", ["", "models/a", "/a", "s3://bucket", "s3:///key", "http://h", "gs://b/k", "file://h/a"]
)
def test_other_uris_are_refused_with_the_forms_there_are(uri):
    with pytest.raises(LoadError, match=r"not one of http\(s\)://"):
        locations.parse(uri)


def test_secrets_in_a_uri_are_never_shown():
    assert locations.shown("https://user:pw@h/m?X-Amz-Signature=s#f") == "https://h/m"


def test_the_digest_of_a_file_is_its_sha256(tmp_path):
    file = tmp_path / "m.onnx"
    file.write_bytes(b"abc")

    assert f"sha256:{hashlib.sha256(b'abc').hexdigest()}" == digest.of(file)


def test_the_digest_of_a_directory_is_what_the_documented_command_prints(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("z.onnx", "a.data", "sub/m.bin"):
        (tmp_path / name).write_text(name)
    command = "find * -type f | xargs sha256sum | LC_ALL=C sort | sha256sum"
    shell = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert f"sha256:{shell.stdout.split()[0]}" == digest.of(tmp_path)


def test_the_bookkeeping_of_kubernetes_volumes_is_not_part_of_a_model(tmp_path):
    plain, volume = tmp_path / "plain", tmp_path / "volume"
    for directory in (plain, volume / "..2026_11_21"):
        directory.mkdir(parents=True)
        (directory / "m.onnx").write_text("m")
    os.symlink("..2026_11_21", volume / "..data")
    os.symlink("..data/m.onnx", volume / "m.onnx")

    assert digest.of(plain) == digest.of(volume)


def test_a_directory_holds_exactly_one_onnx_file(tmp_path):
    with pytest.raises(LoadError, match="found none"):
        layout.model_file(tmp_path)
    (tmp_path / "m.onnx").touch()
    (tmp_path / "m.onnx.data").touch()
    assert tmp_path / "m.onnx" == layout.model_file(tmp_path)
    (tmp_path / "b.onnx").touch()
    with pytest.raises(LoadError, match=r"found b\.onnx, m\.onnx"):
        layout.model_file(tmp_path)


def test_a_local_path_is_used_where_it_is(tmp_path):
    file = tmp_path / "m.onnx"
    file.touch()

    assert file == fetch.fetch(LocalPath(file), tmp_path / "unused", fetch.Silence())
    assert not (tmp_path / "unused").exists()
    with pytest.raises(LoadError, match="does not exist") as caught:
        fetch.fetch(LocalPath(tmp_path / "none"), tmp_path, fetch.Silence())
    assert caught.value.is_permanent


class Failing:
    """Fails so many times, then returns."""

    def __init__(self, times: int, *, is_permanent: bool) -> None:
        self.left = times
        self.is_permanent = is_permanent

    def __call__(self) -> str:
        if self.left:
            self.left -= 1
            raise LoadError("trouble", is_permanent=self.is_permanent)
        return "bytes"


def test_trouble_that_passes_is_waited_out():
    said, slept = [], []

    assert (
        Patience(say=said.append, sleep=slept.append).run(Failing(3, is_permanent=False)) == "bytes"
    )
    assert list(PAUSES_S[:3]) == slept
    assert said[0] == "trouble; trying again in 0.5 s"


def test_trouble_that_stays_ends_after_about_a_minute():
    said, slept = [], []

    with pytest.raises(LoadError):
        Patience(say=said.append, sleep=slept.append).run(Failing(99, is_permanent=False))
    assert 55 < sum(slept) < 65


def test_permanent_trouble_is_not_repeated():
    said, slept = [], []

    with pytest.raises(LoadError):
        Patience(say=said.append, sleep=slept.append).run(Failing(1, is_permanent=True))
    assert not slept
