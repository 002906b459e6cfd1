"""What others send to break a decoder is refused with a reason, and whatever is taken is right."""

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from slipway_server.core import tensors
from slipway_server.core.classification import top_classes
from slipway_server.core.errors import MESSAGE_CHARS_MAX, ErrorKind, ServingError
from slipway_server.core.signature import Signature, TensorSpec
from slipway_server.core.tensors import DTYPES, Datatype, Header
from slipway_server.rest import coding, convert, errors, numbers
from slipway_server.rest.codec import Body, OpenInference
from slipway_server.rest.infer import header_length
from slipway_server.rest.predict import Predict
from tests.samples import hostile_requests
from tests.samples.hostile_requests import BODIES, LENGTH, PREDICT, STRINGS, Hostile

SIGNATURE = Signature(
    (TensorSpec("x", Datatype.FP32, (-1, -1)),), (TensorSpec("y", Datatype.FP32, (-1, -1)),)
)
BODY_BYTES_MAX = 64 * 2**20
NUMERIC = [datatype for datatype in Datatype if datatype is not Datatype.BYTES]
PLAIN = [datatype for datatype in NUMERIC if datatype is not Datatype.BF16]


def ask(case: Hostile) -> None:
    """What the inference path does with a body before and after it is computed."""
    headers = {name.lower(): value.encode() for name, value in case.headers.items()}
    content = coding.decode(
        case.body, headers.get("content-encoding", b""), bytes_max=BODY_BYTES_MAX
    )
    codec = Predict() if case.path == PREDICT else OpenInference()
    length = header_length(headers.get(LENGTH.lower()))
    request, _ = codec.decode(Body(content, length, "model", None, lambda: SIGNATURE))
    feed = SIGNATURE.feed(request.inputs)
    specs = SIGNATURE.select([output.name for output in request.outputs])
    for output, spec in zip(request.outputs, specs, strict=True):
        top_classes(tensors.Tensor("y", spec.datatype, feed["x"]), output.class_count)


@pytest.mark.parametrize("case", BODIES, ids=[case.name for case in BODIES])
def test_each_body_of_the_corpus_is_refused_with_its_reason(case):
    with pytest.raises(ServingError) as caught:
        ask(case)

    assert case.status == errors.STATUSES[caught.value.kind]
    assert case.words in caught.value.message
    assert len(caught.value.message) <= MESSAGE_CHARS_MAX


@pytest.mark.parametrize(("raw", "words"), STRINGS)
def test_each_raw_string_of_the_corpus_is_refused_with_its_reason(raw, words):
    with pytest.raises(ServingError, match=words):
        tensors.from_bytes(Header("x", Datatype.BYTES, (2,)), raw)


def outcome(call, *arguments, **named):
    """What a call gives, or the kind of its refusal; nothing else may come out of it."""
    try:
        return call(*arguments, **named)
    except ServingError as err:
        return err.kind


@given(st.binary(max_size=64), st.lists(st.integers(0, 4), max_size=3))
def test_arbitrary_bytes_are_strings_or_refused(raw, shape):
    tensor = outcome(tensors.from_bytes, Header("x", Datatype.BYTES, tuple(shape)), raw)

    if tensor is not ErrorKind.INVALID_INPUT:
        assert tensors.to_bytes(tensor) == raw
        assert tensor.array.shape == tuple(shape)


@given(
    st.sampled_from(NUMERIC),
    st.binary(max_size=64),
    st.lists(st.integers(0, 2**64), max_size=9),
)
def test_arbitrary_bytes_are_numbers_as_numpy_reads_them_or_refused(datatype, raw, shape):
    header = outcome(tensors.parse_header, "x", datatype=datatype, shape=shape)
    tensor = (
        header if header is ErrorKind.INVALID_INPUT else outcome(tensors.from_bytes, header, raw)
    )

    if tensor is not ErrorKind.INVALID_INPUT:
        expected = np.frombuffer(raw, DTYPES[datatype]).reshape(shape)
        assert tensor.array.tobytes() == expected.tobytes()
        assert tensor.array.shape == expected.shape


@given(
    st.sampled_from(PLAIN).flatmap(
        lambda datatype: st.tuples(
            st.just(datatype),
            hnp.arrays(
                DTYPES[datatype],
                hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4),
                elements={"allow_nan": False, "allow_infinity": False}
                if DTYPES[datatype].kind == "f"
                else None,
            ),
        )
    ),
    st.booleans(),
)
def test_values_in_json_are_those_that_numpy_has(case, is_flat):
    datatype, array = case
    data = orjson.loads(orjson.dumps((array.ravel() if is_flat else array).tolist()))

    tensor = tensors.from_values(Header("x", datatype, array.shape), data)

    assert tensor.array.dtype == array.dtype
    assert tensor.array.tobytes() == array.tobytes()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["inputs", "outputs", "name", "shape", "datatype", "data", "parameters"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
INPUT = st.fixed_dictionaries(
    {
        "name": st.just("x") | JSON,
        "datatype": st.sampled_from([*Datatype]) | JSON,
        "shape": st.lists(st.integers(-1, 3), max_size=3) | JSON,
    },
    optional={
        "data": JSON,
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": JSON}) | JSON,
    },
)
REQUEST = st.fixed_dictionaries(
    {"inputs": st.lists(INPUT, max_size=3) | JSON},
    optional={"outputs": JSON, "id": JSON, "parameters": JSON},
)


@given(REQUEST | JSON, st.binary(max_size=24), st.integers(-2, 2), st.booleans())
def test_arbitrary_requests_are_read_or_refused(fields, tail, lie, is_whole):
    header = orjson.dumps(fields)
    length = None if is_whole else max(len(header) + lie, 0)
    body = Body(header + tail, length, "model", None, lambda: SIGNATURE)
    for codec in (OpenInference(), Predict()):
        found = outcome(codec.decode, body)
        if isinstance(found, tuple):
            found = outcome(SIGNATURE.feed, found[0].inputs)
        assert isinstance(found, dict) or found in (ErrorKind.INVALID_INPUT, ErrorKind.UNSUPPORTED)


NUMBERS = st.one_of(
    st.integers(-(2**65), 2**65).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["1e400", "-0.0", "1E5", "true", "null", '"1"', '"["', "{}", "[1]", "00"]),
)


@given(
    st.lists(NUMBERS, max_size=4),
    st.sampled_from([*Datatype]),
    st.sampled_from(["", ',"data":[1]', ',"parameters":{"a":[1]}', ',"x":[1,[2]]']),
)
def test_both_parsers_take_the_same_and_make_the_same_of_it(data, datatype, more):
    """Large bodies go through another one than small ones."""
    entry = f'"name":"x","datatype":"{datatype}","shape":[{len(data)}],"data":[{",".join(data)}]'
    body = f'{{"inputs":[{{{entry}{more}}}]}}'.encode()
    padded = body + b" " * numbers.BYTES_MIN

    small, large = (
        outcome(convert.decode, each, model_name="m", model_version=None) for each in (body, padded)
    )

    if isinstance(small, tuple):
        (one,), (other,) = small[0].inputs, large[0].inputs
        assert one.array.dtype == other.array.dtype
        assert one.array.tobytes() == other.array.tobytes() or datatype is Datatype.BYTES
        assert one.array.tolist() == other.array.tolist()
    else:
        assert small is large


@given(st.binary(max_size=200), st.sampled_from([b"gzip", b"deflate", b"x-gzip", b"identity"]))
def test_arbitrary_codings_are_undone_or_refused(body, name):
    content = outcome(coding.decode, body, name, bytes_max=1000)

    if content not in (ErrorKind.INVALID_INPUT, ErrorKind.TOO_LARGE):
        assert len(content) <= 1000


def test_a_bomb_is_given_up_where_the_limit_is():
    with pytest.raises(ServingError) as caught:
        coding.decode(hostile_requests.squeezed(10 * 2**20), b"gzip", bytes_max=1000)

    assert caught.value.kind is ErrorKind.TOO_LARGE


def test_what_a_client_sent_is_not_sent_back_at_length():
    with pytest.raises(ServingError) as caught:
        convert.decode(
            hostile_requests.text(hostile_requests.tensor(datatype="ü" * 2**20)),
            model_name="model",
            model_version=None,
        )

    assert len(caught.value.message) == MESSAGE_CHARS_MAX
    assert len(errors.body("ü" * 2**20)) < 2 * MESSAGE_CHARS_MAX + 20
