"""The server as a pod has it: not root, no capability but to read, one writable folder."""

import subprocess
from pathlib import Path

import pytest

from tests.contract.server.conftest import StartServer, start

pytestmark = pytest.mark.contract

USER = "65532"
# To read an environment that belongs to root is all that it keeps; a pod's image is readable.
AS_IN_A_POD = f"""
mount --bind "$0" "$0" && mount -o remount,bind,ro / && cd / && exec setpriv --reuid {USER} \\
    --regid {USER} --clear-groups --no-new-privs --inh-caps -all,+dac_read_search \\
    --ambient-caps +dac_read_search --bounding-set -all,+dac_read_search "$@"
"""


def within(writable: Path) -> list[str]:
    return ["unshare", "--mount", "sh", "-c", AS_IN_A_POD, str(writable)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "writable"
    made.mkdir(mode=0o777)
    made.chmod(0o777)
    tried = subprocess.run(
        [*within(made), "true"], capture_output=True, text=True, check=False, timeout=10
    )
    if tried.returncode:
        pytest.skip(f"needs root, unshare and setpriv: {tried.stderr.strip()}")
    return made


def test_a_read_only_root_and_no_rights_are_enough(folder: Path, models: Path, tmp_path: Path):
    server = start(
        tmp_path / "server",
        models / "identity.onnx",
        environ={"HOME": "/nonexistent", "TMPDIR": str(folder)},
        within=within(folder),
        model_dir=folder / "model",
        termination_log=folder / "termination",
        any_port=0,
    )
    try:
        server.find_ports()
        server.wait_until_ready()
        x = {"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [7]}
        answer = server.infer(x)
        process = Path(f"/proc/{server.process.pid}")
        status = dict(
            line.split(":\t", 1) for line in (process / "status").read_text().splitlines()
        )
        root = next(line for line in (process / "mounts").read_text().splitlines() if " / " in line)

        assert (answer.status, answer.fields["outputs"][0]["data"]) == (200, [7])
        assert status["Uid"].split() == [USER] * 4
        assert status["NoNewPrivs"] == "1"
        assert root.split()[3].split(",")[0] == "ro"
    finally:
        server.process.kill()
        server.process.wait()


def test_last_words_that_cannot_be_written_are_on_standard_error(
    start_server: StartServer, tmp_path: Path
):
    server = start_server("file:///nowhere", termination_log=tmp_path / "nowhere" / "words")

    assert server.wait() == 78
    assert "nowhere" in server.log.read_text()
