"""The highest values of an output."""

import numpy as np
import pytest

from slipway_server.core.classification import top_classes
from slipway_server.core.errors import ServingError
from slipway_server.core.tensors import Datatype, Tensor


def classes(values, dtype=np.float32, count=2):
    found = top_classes(Tensor("y", Datatype.FP32, np.array(values, dtype)), count)
    assert found.datatype is Datatype.BYTES
    return found.array.tolist()


def test_each_row_has_classes_of_its_own():
    assert classes([[1.5, 5, 10, 4], [3, 2, 1, 0]]) == [["10.0:2", "5.0:1"], ["3.0:0", "2.0:1"]]


def test_one_dimension_is_one_row():
    assert classes([1, 5, 10, 4]) == ["10.0:2", "5.0:1"]


def test_more_dimensions_are_one_row_each():
    assert classes([[[1, 2], [3, 4]]]) == [["4.0:3", "3.0:2"]]


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([0, 255, 3], np.uint8, ["255:1", "3:2"]),
        ([-128, 127, 3], np.int8, ["127:1", "3:2"]),
        ([False, True, False], np.bool_, ["True:1", "False:0"]),
        ([np.nan, 1, -np.inf], np.float32, ["1.0:1", "-inf:2"]),
        ([1, 1, 1], np.float32, ["1.0:0", "1.0:1"]),
        ([1], np.float32, ["1.0:0"]),
        ([], np.float32, []),
    ],
)
def test_extremes_keep_their_order(values, dtype, expected):
    assert classes(values, dtype) == expected


def test_no_rows_have_no_classes():
    assert classes(np.zeros((0, 3))) == []


def test_text_has_no_highest_value():
    with pytest.raises(ServingError, match="no highest values"):
        top_classes(Tensor("y", Datatype.BYTES, np.array(["a"], object)), 1)
