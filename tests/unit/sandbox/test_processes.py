"""Processes are ended by who they are, not by a number that may be somebody else's by now."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import places, processes
from sandbox.processes import Process

DEADLINE_S = 10.0


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Process]:
    process = processes.start(
        "sleeper", ["sleep", "60"], log_file=tmp_path / "log", identity=tmp_path / "identity"
    )
    yield process
    processes.stop([process])


def test_a_process_writes_who_it_is_before_it_runs(sleeper: Process, tmp_path: Path) -> None:
    assert processes.recorded("sleeper", tmp_path / "identity") == sleeper
    assert processes.identify("sleeper", sleeper.pid) == sleeper


def test_a_stopped_process_is_gone(sleeper: Process) -> None:
    assert sleeper.is_alive()

    processes.stop([sleeper])

    assert not sleeper.is_alive()


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    script = f"trap '' TERM; touch {ready}; while :; do sleep 1; done"
    process = processes.start("stubborn", ["sh", "-c", script], log_file=tmp_path / "log")
    deadline_s = time.monotonic() + DEADLINE_S
    while not ready.exists() and time.monotonic() < deadline_s:
        time.sleep(0.01)

    processes.stop([process], grace_s=0.2)

    assert not process.is_alive()


def test_a_process_with_the_same_id_and_another_start_is_left_alone(sleeper: Process) -> None:
    stranger = Process("stranger", sleeper.pid, sleeper.start_ticks - 1)

    processes.stop([stranger])

    assert not stranger.is_alive()
    assert sleeper.is_alive()


def test_stopping_what_has_ended_is_no_error(sleeper: Process) -> None:
    processes.stop([sleeper])
    processes.stop([sleeper])


def test_a_zombie_counts_as_ended(tmp_path: Path) -> None:
    child = subprocess.Popen(["sleep", "60"])
    process = processes.identify("child", child.pid)
    assert process is not None

    child.send_signal(signal.SIGKILL)
    deadline_s = time.monotonic() + DEADLINE_S
    while process.is_alive() and time.monotonic() < deadline_s:
        time.sleep(0.01)

    assert not process.is_alive()
    child.wait()


def test_a_name_with_parentheses_and_spaces_is_read_right(tmp_path: Path) -> None:
    fields = " ".join(["S", *(str(number) for number in range(4, 22)), "4711", "0"])
    (tmp_path / "42").mkdir()
    (tmp_path / "42" / "stat").write_text(f"42 (a) b (c) {fields}\n")

    assert processes.identify("odd", 42, proc=tmp_path) == Process("odd", 42, 4711)


def test_a_process_that_never_started_is_none(tmp_path: Path) -> None:
    assert processes.recorded("etcd", tmp_path / "absent") is None


def test_a_process_that_ends_with_us_is_killed_with_its_starter(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from sandbox import processes\n"
        "made = processes.start('kept', ['sleep', '60'], log_file=Path(sys.argv[1]) / 'log',\n"
        "                       ends_with_us=True, identity=Path(sys.argv[1]) / 'identity')\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        check=True,
        timeout=DEADLINE_S,
        cwd=places.checkout(),
    )

    process = processes.recorded("kept", tmp_path / "identity")
    assert process is not None
    deadline_s = time.monotonic() + DEADLINE_S
    while process.is_alive() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert not process.is_alive()
