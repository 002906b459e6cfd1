"""Files are used anew when what is in them changes; what will not do changes nothing."""

import os
from pathlib import Path

import pytest

from slipway_server.core.errors import LoadError
from slipway_server.watched import BYTES_MAX, Watched


class Use:
    """Takes whatever is not bad."""

    def __init__(self) -> None:
        self.seen: list[tuple[bytes, ...]] = []
        self.said: list[str] = []

    def __call__(self, contents: tuple[bytes, ...]) -> None:
        if b"bad" in contents:
            raise LoadError("the file is bad")
        self.seen.append(contents)


@pytest.fixture
def use():
    return Use()


def test_a_change_is_used_once_also_through_kubernetes_links(tmp_path: Path, use):
    """A Secret's files are links to `..data`, a link that is replaced as a whole."""
    for number in (1, 2):
        (tmp_path / f"..{number}").mkdir()
        (tmp_path / f"..{number}" / "key").write_text(f"key {number}")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "key").symlink_to("..data/key")
    watched = Watched([tmp_path / "key"], use, say=use.said.append)

    watched.look()
    (tmp_path / "..new").symlink_to("..2")
    os.replace(tmp_path / "..new", tmp_path / "..data")
    watched.look()
    watched.look()

    assert use.seen == [(b"key 1",), (b"key 2",)]
    assert use.said == [f"read again: {tmp_path / 'key'}"]


def test_what_will_not_do_is_told_once_and_the_old_stays(tmp_path: Path, use):
    path = tmp_path / "key"
    path.write_text("good")
    watched = Watched([path], use, say=use.said.append)

    path.write_text("bad")
    watched.look()
    watched.look()
    path.unlink()
    watched.look()
    watched.look()
    path.write_text("better")
    watched.look()

    assert use.seen == [(b"good",), (b"better",)]
    bad, gone, again = use.said
    assert bad == "the file is bad; what was read before stays in use"
    assert gone.startswith(f"{path} cannot be read: No such file")
    assert again == f"read again: {path}"


@pytest.mark.parametrize("content", [None, b"bad", b"a" * (BYTES_MAX + 1)])
def test_at_the_start_what_will_not_do_is_the_end(tmp_path: Path, use, content):
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(LoadError):
        Watched([path], use, say=use.said.append)
