"""The command line: what options mean, and the example that a person is given."""

import io
import json
import shlex
from pathlib import Path

import pytest

from slipway_server import cli, example
from slipway_server.core.signature import Signature, TensorSpec
from slipway_server.core.tensors import Datatype
from slipway_server.rest import convert
from slipway_server.terminal import ProgressBar

FOLDER = Path("/somewhere")
URL = "http://127.0.0.1:8080"


def settings(*argv):
    return cli.settings_of(cli.parse(argv), FOLDER)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("/models/churn.onnx", "churn"),
        ("/models/churn/model.onnx", "churn"),
        ("/models/churn/", "churn"),
        ("s3://bucket/churn/", "churn"),
        ("https://example.org/churn.onnx?signature=x", "churn"),
    ],
)
def test_a_model_is_called_as_its_file_is(model, name):
    assert settings("serve", model).model_name == name


def test_a_relative_path_is_one_of_this_folder():
    assert settings("inspect", "a.onnx").model_uri == f"file://{Path.cwd()}/a.onnx"


def test_a_server_on_ones_own_machine_listens_there_alone():
    made = settings("serve", "a.onnx", "--http-port", "9999", "--name", "b")

    assert (made.host, made.http_port, made.model_name, made.grace_s) == (
        "127.0.0.1",
        9999,
        "b",
        0.0,
    )


@pytest.mark.parametrize(
    "argv", [("serve",), ("fly", "a.onnx"), ("serve", "a", "--http-port", "x")]
)
def test_what_makes_no_sense_ends_with_two(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.parse(argv)

    assert caught.value.code == 2
    assert "slipway-server" in capsys.readouterr().err


def signature(*specs):
    return Signature(tuple(specs), ())


def test_the_example_is_a_request_that_fits():
    made = signature(
        TensorSpec("x", Datatype.FP32, (-1, 2)), TensorSpec("s", Datatype.BYTES, (-1,))
    )

    words = shlex.split(example.curl(made, url=URL, model="m"))
    request, _ = convert.decode(words[-1].encode(), model_name="m", model_version=None)

    assert words[:2] == ["curl", f"{URL}/v2/models/m/infer"]
    assert made.feed(request.inputs).keys() == {"x", "s"}
    assert json.loads(words[-1]) == example.body(made)


def test_the_example_of_a_large_input_is_a_raw_body():
    made = signature(TensorSpec("x", Datatype.FP32, (-1, 3, 112, 112)))

    assert f"head --bytes {3 * 112 * 112 * 4} " in example.curl(made, url=URL, model="m")


def test_several_large_inputs_have_no_short_example():
    large = [TensorSpec(name, Datatype.FP32, (-1, 1000)) for name in "ab"]

    assert example.curl(signature(*large), url=URL, model="m") is None


def test_the_example_has_numbers_that_a_person_would_write():
    (tensor,) = example.body(signature(TensorSpec("x", Datatype.FP32, (-1, 4))))["inputs"]

    assert tensor["data"] == [0.0, 0.64, 0.27, 0.91]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("total", [4_000_000, None])
def test_a_download_is_shown_as_a_bar_that_goes_when_it_is_over(total):
    out = Terminal()
    bar = ProgressBar(out)

    bar.begin("churn.onnx", total)
    bar.advance(1_000_000)
    bar.end()

    assert "churn.onnx" in out.getvalue()
    assert out.getvalue().endswith("\r")
    assert "4.00M" in out.getvalue() or total is None


def test_no_bar_is_written_where_there_is_no_terminal():
    out = io.StringIO()
    bar = ProgressBar(out)

    bar.begin("churn.onnx", 10)
    bar.advance(10)
    bar.end()

    assert out.getvalue() == ""
