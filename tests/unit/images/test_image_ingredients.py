"""Where the base image and the wheels come from."""

import sys
from pathlib import Path

import pytest

from sandbox import base_image, programs, wheelhouse


@pytest.mark.parametrize(
    ("listed", "mirror"),
    [
        ("http://a/debian/ bookworm main\n", "http://a/debian/"),
        ("http://a/ bookworm-updates main\nhttp://b/ bookworm main\n", "http://b/"),
        ("http://a/ bookworm contrib\n", None),
        ("http://a/ubuntu noble main\n", None),
        ("", None),
    ],
)
def test_the_base_comes_from_the_mirror_that_apt_uses(listed: str, mirror: str | None) -> None:
    assert base_image.mirror_of(listed) == mirror


def test_what_a_killed_build_left_is_removed(tmp_path: Path) -> None:
    leftover = tmp_path / "base-x"
    (leftover / "root" / "proc").mkdir(parents=True)

    base_image.remove(leftover)

    assert not leftover.exists()


def test_wheels_are_chosen_for_the_base_image_not_for_the_host() -> None:
    tags = wheelhouse.platform_tags("x86_64")

    assert tags[0] == "manylinux_2_36_x86_64"
    assert "manylinux_2_17_x86_64" in tags
    assert "manylinux2014_x86_64" in tags
    assert "manylinux_2_37_x86_64" not in tags


def test_a_lock_file_is_fetched_once(tmp_path: Path) -> None:
    requirements = tmp_path / "empty.txt"
    requirements.write_text("", encoding="utf-8")
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / ".complete-e3b0c44298fc").touch()  # sha256 of nothing
    lines: list[str] = []

    assert wheelhouse.ensure(folder, [requirements], log=lines.append) == folder
    assert lines == []


def test_a_failed_program_is_reported_with_its_last_words() -> None:
    script = "import sys; print('on the way'); sys.exit('no such layer')"

    with pytest.raises(programs.ProgramError, match=r"exit 1\n.*on the way\n.*no such layer"):
        programs.run([sys.executable, "-c", script], timeout_s=20)


def test_a_missing_program_is_named() -> None:
    with pytest.raises(programs.ProgramError, match="slipway-no-such-program: not installed"):
        programs.run(["slipway-no-such-program", "build"], timeout_s=5)


def test_a_program_that_does_not_end_is_ended() -> None:
    with pytest.raises(programs.ProgramError, match="still running after 0 s"):
        programs.run([sys.executable, "-c", "import signal; signal.pause()"], timeout_s=0.05)
