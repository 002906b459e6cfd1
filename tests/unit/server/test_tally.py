"""What live rows and predictions are counted as."""

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from slipway_server.core.batching import Entry
from slipway_server.core.profile import Category, Number, Profile
from slipway_server.core.registry import Model
from slipway_server.core.signature import Signature, TensorSpec
from slipway_server.core.tensors import Datatype
from slipway_server.distributions.exposition import LABELS, Distributions
from slipway_server.distributions.tally import ROWS_DUE, Tally

AGE = Number(name="age", column=1, edges=(10, 20, 30), counts=(0, 5, 5, 0, 0))
LAND = Category(name="land", input="land", values=("de", "fr"), counts=(6, 3, 1, 0))
INPUTS = (TensorSpec("x", Datatype.FP32, (-1, 2)), TensorSpec("land", Datatype.BYTES, (-1, 1)))
SECOND_NS = 1_000_000_000


def output(datatype, *shape):
    return TensorSpec("y", datatype, (-1, *shape))


def entry(spec, rows, *, ages=(), lands=(), at_ns=SECOND_NS):
    """An entry that has run; as many rows as the output has."""
    array = np.asarray(rows)
    count = len(array)
    feed = {
        "x": np.array([[0, age] for age in (*ages, *[0] * (count - len(ages)))], np.float32),
        "land": np.array([[v] for v in (*lands, *["de"] * (count - len(lands)))], dtype=object),
    }
    made = Entry(feed, [spec], is_batchable=True, deadline_ns=None)
    made.arrays, made.ended_ns = [array], at_ns
    return made


def tally(spec, *features, rows_per_s=1000):
    signature = Signature(INPUTS, (spec,))
    given = tuple(each.model_copy(update={"input": each.input or "x"}) for each in features)
    return Tally(signature, Profile(rows=10, features=given), rows_per_s=rows_per_s)


Y = output(Datatype.FP32)


def test_features_are_counted_by_the_profiles_bins():
    found = tally(Y, AGE, LAND)
    rows = np.zeros(7, np.float32)
    ages = (9, 10, 19, 20, 30, 31, np.nan)
    lands = ("de", "de", "fr", "it", "", "xx", "fr")

    found.add([entry(Y, rows, ages=ages, lands=lands)])
    found.count()

    (age, by_age), (land, by_land) = found.features()
    assert dict(zip(age.bins, by_age, strict=True)) == {
        "(below)": 1,
        "[10,20)": 2,
        "[20,30]": 2,
        "(above)": 1,
        "(missing)": 1,
    }
    assert dict(zip(land.bins, by_land, strict=True)) == {
        "de": 2,
        "fr": 2,
        "(other)": 2,
        "(missing)": 1,
    }
    assert found.row_count == 7


def test_of_a_wide_input_the_columns_of_the_profile_are_counted():
    spec = TensorSpec("x", Datatype.FP32, (-1, 5000))
    last = AGE.model_copy(update={"column": 4999})
    found = Tally(Signature((spec,), (Y,)), Profile(rows=1, features=(last,)), rows_per_s=1000)
    one = entry(Y, np.zeros(1, np.float32))
    one.feed = {"x": np.full((1, 5000), 15, np.float32)}

    found.add([one])
    found.count()

    assert found.features()[0][1] == [0, 1, 0, 0, 0]


def test_batches_that_wait_are_counted_together():
    found = tally(Y, AGE)

    for age in (5, 15, 25):
        assert not found.add([entry(Y, np.zeros(1, np.float32), ages=(age,))])
    assert found.row_count == 0
    found.count()

    assert found.features()[0][1] == [1, 1, 1, 0, 0]


def test_some_hundred_rows_wait_no_longer():
    found = tally(Y)
    one = entry(Y, np.zeros(1, np.float32))

    answers = [found.add([one]) for _ in range(ROWS_DUE)]

    assert not any(answers[:-1])
    assert answers[-1]


def test_rows_beyond_the_budget_are_not_looked_at():
    found = tally(Y, rows_per_s=10)
    for index in range(100):  # in a tenth of a second
        found.add([entry(Y, np.zeros(1, np.float32), at_ns=SECOND_NS + index * 1_000_000)])
    found.count()

    assert 10 <= found.row_count <= 11

    found.add([entry(Y, np.zeros(1, np.float32), at_ns=2 * SECOND_NS)])
    found.count()

    assert 11 <= found.row_count <= 12


def test_of_a_request_with_many_rows_some_are_looked_at():
    found = tally(Y, AGE)

    assert found.add([entry(Y, np.zeros(1000, np.float32), ages=(15,) * 1000)])
    found.count()

    assert found.row_count == 250
    assert found.features()[0][1] == [0, 250, 0, 0, 0]


def test_a_request_that_failed_is_not_counted():
    found = tally(Y, AGE)
    failed = entry(Y, np.zeros(1, np.float32))
    failed.error = RuntimeError()

    found.add([failed])
    found.count()

    assert (found.row_count, sum(found.features()[0][1])) == (0, 0)


def shown(spec, *rows, name="y"):
    """What is exported of an output whose requests had these rows."""
    registry = CollectorRegistry()
    model = Model("m", "7", Served(Signature(INPUTS, (spec,))))
    labels = {"namespace": "ml", "deployment": "d", "revision": "r"}
    distributions = Distributions(
        registry, labels, models=lambda: [model], rows_per_s=1000, later=lambda call: call()
    )
    for each in rows:
        distributions.ran(model, [entry(spec, each)])
    own = {**labels, "model": "m", "version": "7", "output": name}
    return lambda metric, **more: registry.get_sample_value(metric, {**own, **more})


class Served:
    """As much of a backend as is asked for here."""

    def __init__(self, signature):
        self.signature = signature


def test_scores_count_as_their_highest_and_as_confidence_if_they_are_probabilities():
    spec = output(Datatype.FP32, 3)
    rows = np.array([[0.9, 0.1, 0], [0.2, 0.2, 0.6], [3, -1, 0], [np.nan, 0, 0]], np.float32)

    value = shown(spec, rows)

    by_class = {
        name: value("slipway_server_prediction_rows_total", **{"class": name})
        for name in ("0", "1", "2", "3", "(other)", "(missing)")
    }
    assert by_class == {"0": 2, "1": 0, "2": 1, "3": None, "(other)": 0, "(missing)": 1}
    assert value("slipway_server_prediction_confidence_count") == 2
    assert value("slipway_server_prediction_confidence_sum") == pytest.approx(1.5)
    assert value("slipway_server_prediction_confidence_bucket", le="0.6") == 1


@pytest.mark.parametrize("datatype", [np.int64, np.uint64, np.int8])
def test_whole_numbers_are_classes(datatype):
    spec = output(Datatype(np.dtype(datatype).name.upper()), 1)

    value = shown(spec, np.array([[0], [1], [1], [99]], datatype))

    by_class = {
        name: value("slipway_server_prediction_rows_total", **{"class": name})
        for name in ("0", "1", "2", "(other)")
    }
    assert by_class == {"0": 1, "1": 2, "2": None, "(other)": 1}


def test_booleans_and_negative_numbers_are_classes_as_well():
    flags = shown(output(Datatype.BOOL), np.array([True, False, True]))
    signed = shown(output(Datatype.INT64), np.array([-1, 3]))

    assert flags("slipway_server_prediction_rows_total", **{"class": "1"}) == 2
    assert signed("slipway_server_prediction_rows_total", **{"class": "(other)"}) == 1


def test_one_number_for_each_row_is_a_value():
    value = shown(Y, np.array([0.1, 0.25, -7, np.nan], np.float32), np.array([5e9], np.float32))

    buckets = {
        edge: value("slipway_server_prediction_value_bucket", le=edge)
        for edge in ("-10.0", "-1.0", "0.1", "0.3", "1e+06", "+Inf")
    }
    assert buckets == {"-10.0": 0, "-1.0": 1, "0.1": 2, "0.3": 3, "1e+06": 3, "+Inf": 5}
    by_class = {
        name: value("slipway_server_prediction_rows_total", **{"class": name})
        for name in ("(-10,-1]", "(0,0.1]", "(0.1,0.2]", "(1e+06,+Inf]", "(missing)")
    }
    assert list(by_class.values()) == [1, 1, 0, 1, 1]


def test_numbers_of_sixteen_bits_are_read_as_what_they_are():
    half = shown(output(Datatype.BF16), np.array([0x3F80], np.uint16))  # 1.0

    assert half("slipway_server_prediction_value_bucket", le="0.9") == 0
    assert half("slipway_server_prediction_value_bucket", le="1.0") == 1


@pytest.mark.parametrize(
    ("spec", "rows"),
    [
        (output(Datatype.BYTES), np.array(["a word of a client's"], dtype=object)),
        (output(Datatype.FP32, 2, 2), np.zeros((1, 2, 2), np.float32)),
        (output(Datatype.FP32, 2000), np.zeros((1, 2000), np.float32)),
        (output(Datatype.INT64, 2), np.zeros((1, 2), np.int64)),
    ],
)
def test_what_is_no_prediction_makes_no_series(spec, rows):
    value = shown(spec, rows)

    assert value("slipway_server_prediction_rows_total", **{"class": "0"}) is None
    assert value("slipway_server_prediction_value_bucket", le="+Inf") is None
    assert value("slipway_server_prediction_confidence_count") is None


def test_the_profiles_counts_are_shown_beside_the_live_ones_from_the_start():
    registry = CollectorRegistry()
    profile = Profile(rows=10, features=(AGE.model_copy(update={"input": "x"}),))
    model = Model("m", "7", Served(Signature(INPUTS, (Y,))), profile=profile)
    values = dict.fromkeys(LABELS[:3], "v")
    Distributions(registry, values, models=lambda: [model], rows_per_s=1, later=lambda call: call())

    labels = {**values, "model": "m", "version": "7", "feature": "age", "bin": "[20,30]"}
    live = registry.get_sample_value("slipway_server_feature_rows_total", labels)
    reference = registry.get_sample_value("slipway_server_feature_reference_rows", labels)

    assert (live, reference) == (0, 5)


def test_a_model_that_is_unloaded_takes_its_series_along():
    registry = CollectorRegistry()
    models = [Model("m", "7", Served(Signature(INPUTS, (Y,))))]
    values = dict.fromkeys(LABELS[:3], "v")
    Distributions(registry, values, models=lambda: models, rows_per_s=1, later=lambda call: call())
    before = generate_latest(registry)
    models.clear()

    assert b'model="m"' in before
    assert b'model="m"' not in generate_latest(registry)
