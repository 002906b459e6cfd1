"""The models as an OpenAPI document."""

import pytest

from slipway_server.core.registry import Model
from slipway_server.core.signature import Signature, TensorSpec
from slipway_server.core.tensors import Datatype
from slipway_server.rest import openapi


class Backend:
    platform, name = "test", "test"

    def __init__(self, *specs: TensorSpec) -> None:
        self.signature = Signature(tuple(specs), (TensorSpec("y", Datatype.FP32, (-1,)),))


def infer_of(*specs: TensorSpec):
    found = openapi.document([Model("churn", "3", Backend(*specs))])
    return found["paths"]["/v2/models/churn/infer"]["post"]


def test_a_path_has_the_models_own_signature_and_a_request_that_fits():
    infer = infer_of(TensorSpec("x", Datatype.INT64, (-1, 2)))

    content = infer["requestBody"]["content"]["application/json"]
    (tensor,) = content["schema"]["properties"]["inputs"]["items"]["oneOf"]
    assert tensor["properties"]["name"] == {"const": "x"}
    assert tensor["properties"]["shape"]["prefixItems"][1] == {"const": 2}
    assert content["example"]["inputs"][0]["shape"] == [1, 2]
    assert set(infer["responses"]) == {"200", "400", "404", "413", "415", "500", "503"}


def test_a_large_request_is_not_written_out():
    infer = infer_of(TensorSpec("x", Datatype.FP32, (-1, 1000)))

    assert "example" not in infer["requestBody"]["content"]["application/json"]


@pytest.mark.parametrize("name", ["<b>", "a&b"])
def test_a_page_shows_names_as_they_are(name):
    model = Model(name, "1", Backend(TensorSpec("x", Datatype.FP32, (1,))))

    page = openapi.page([model], url="http://h")

    assert name not in page
    assert "openapi.json" in page


def test_before_a_model_is_loaded_the_page_says_so():
    assert "No model is loaded yet" in openapi.page([], url="http://h")
