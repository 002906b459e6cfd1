"""What a demo brings to a cluster that is there already."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from bench import demo, guest_ground, ledger

OPERATOR: Final[dict[str, Any]] = {
    "containers": [{"image": "example.com/slipway/operator:0.1.0", "imagePullPolicy": "Always"}],
    "imagePullSecrets": [{"name": "registry"}],
}


def test_the_pod_gets_its_image_as_the_operator_does_and_every_file_a_place() -> None:
    made = guest_ground.pod(OPERATOR, models=["tumour/1.0.0.onnx"], code=["bench/load.py"])

    spec = made["spec"]
    assert spec["containers"][0]["image"] == "example.com/slipway/operator:0.1.0"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert [volume["configMap"]["items"] for volume in spec["volumes"]] == [
        [{"key": "tumour..1.0.0.onnx", "path": "tumour/1.0.0.onnx"}],
        [{"key": "bench..load.py", "path": "bench/load.py"}],
    ]


def test_the_sources_are_whole(tmp_path: Path) -> None:
    """The load generator starts from them alone, beside what the operator's image has."""
    for name, data in guest_ground.sources().items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    code = (
        "import sys; sys.modules['uvloop'] = None; sys.modules['numpy'] = None\n"
        "from bench import load, samples; print(load.__file__, samples.service_pb2.__file__)"
    )
    contract = Path(__file__).parents[3] / "crds"

    started = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{contract}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )

    assert started.returncode == 0, started.stderr
    assert all(each.startswith(str(tmp_path)) for each in started.stdout.split())


def test_a_config_map_of_all_of_it_is_small_enough() -> None:
    made = guest_ground.config_map("code", guest_ground.sources())

    assert sum(map(len, made["binaryData"].values())) < 1 << 20


def test_lines_that_come_in_pieces_are_appended_whole(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"

    class Pieces(io.BytesIO):
        def read1(self, _: int | None = -1, /) -> bytes:
            return super().read1(7)

    guest_ground.relay(Pieces(b'{"a": 1}\n{"b": 22}\n{"cut off'), path)

    assert path.read_bytes() == b'{"a": 1}\n{"b": 22}\n'


def test_a_ledger_can_be_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    with ledger.Writer(ledger.STANDARD_OUTPUT) as writer:
        writer.write(ledger.RolloutBegin(1.0, "better", "1.1.0", ledger.Promise("Promoted")))

    assert '"name":"better"' in capfd.readouterr().out


def test_a_registry_and_values_are_for_other_clusters(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    values = tmp_path / "values.json"
    values.write_text('{"router": {"replicas": 3}}')

    options = demo._parse(
        ["--context", "kind-x", "--registry", "example.com/ml", "--values", str(values)]
    )

    assert options.values == {"router": {"replicas": 3}, "imageRegistry": "example.com/ml"}
    with pytest.raises(SystemExit):
        demo._parse(["--registry", "example.com/ml"])
    assert "for --context" in capsys.readouterr().err
