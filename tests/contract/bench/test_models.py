"""The models answer, and the bad ones break on real data only, as they are meant to."""

import json
import threading

import numpy
import onnx
import onnxruntime
import pytest

from bench import defects, models, samples

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return models.make(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def rows(catalogue):
    document = json.loads(catalogue.samples(models.TUMOUR).read_text())
    return numpy.array(document["rows"], dtype=numpy.float32)


def session(catalogue, version):
    release = catalogue.release(models.TUMOUR, version)
    return models.session_of((catalogue.folder / release.file).read_bytes())


def infer(session, row, options=None):
    label, probabilities = session.run(None, {models.INPUT: row[None, :]}, options)
    return samples.Answer("", (float(label[0]), *map(float, probabilities[0])))


def test_making_again_takes_what_is_there(catalogue):
    path = catalogue.folder / models.CATALOGUE_FILE
    before = path.stat().st_mtime_ns

    assert models.make(catalogue.folder) == catalogue
    assert path.stat().st_mtime_ns == before


def test_the_better_version_is_better(catalogue):
    first, better = (catalogue.release(models.TUMOUR, v).accuracy for v in ("1.0.0", "1.1.0"))

    assert 0.9 < first < better


@pytest.mark.parametrize("version", [f"1.{number}.0" for number in range(8)])
def test_every_version_answers_a_warm_up_with_zeros(catalogue, version):
    loaded = session(catalogue, version)
    (tensor,) = loaded.get_inputs()
    zeros = numpy.zeros((1, tensor.shape[1]), dtype=numpy.float32)

    label, probabilities = loaded.run(None, {models.INPUT: zeros})

    assert (label.shape, probabilities.shape) == ((1,), (1, 2))


@pytest.mark.parametrize("version", ["1.2.0", "1.3.0", "1.4.0", "1.6.0", "1.7.0"])
def test_defective_versions_keep_the_signature(catalogue, version):
    def signature(loaded):
        tensors = [*loaded.get_inputs(), *loaded.get_outputs()]
        return [(each.name, each.type, each.shape) for each in tensors]

    assert signature(session(catalogue, version)) == signature(session(catalogue, "1.1.0"))


def test_the_erring_version_fails_on_every_real_row(catalogue, rows):
    loaded = session(catalogue, "1.2.0")

    for row in rows:
        with pytest.raises(Exception, match="out of data bounds"):
            infer(loaded, row)


def test_the_version_for_small_tumours_fails_on_half_of_the_rows_and_is_right_on_the_others(
    catalogue, rows
):
    loaded, healthy = session(catalogue, "1.7.0"), session(catalogue, "1.1.0")
    is_small = rows[:, defects.MEAN_AREA] < defects.MEDIAN_AREA

    assert 0.4 < is_small.mean() < 0.6
    for row in rows[is_small]:
        assert infer(loaded, row) == infer(healthy, row)
    for row in rows[~is_small]:
        with pytest.raises(Exception, match="out of data bounds"):
            infer(loaded, row)


def test_the_crashing_version_asks_for_more_memory_than_any_limit_on_large_tumours(catalogue, rows):
    """What it would do is seen in its graph: running it could take the test with it."""
    content = (catalogue.folder / catalogue.release(models.TUMOUR, "1.3.0").file).read_bytes()
    graph = onnx.load_from_string(content)
    del graph.graph.output[:]
    graph.graph.output.append(
        onnx.helper.make_tensor_value_info("bins", onnx.TensorProto.INT64, [1])
    )
    bins = models.session_of(
        onnx.utils.Extractor(graph).extract_model(["X"], ["bins"]).SerializeToString()
    )
    is_large = rows[:, defects.WORST_AREA] > defects.LARGE_AREA + 1

    wanted = [int(bins.run(None, {models.INPUT: row[None, :]})[0][0]) for row in rows]

    assert 0.02 < is_large.mean() < 0.5
    assert {count for count, large in zip(wanted, is_large, strict=True) if large} == {
        defects.HISTOGRAM_BINS
    }
    assert {count for count, large in zip(wanted, is_large, strict=True) if not large} == {0}


def test_the_crashing_version_is_right_on_small_tumours(catalogue, rows):
    loaded, healthy = session(catalogue, "1.3.0"), session(catalogue, "1.1.0")
    small = rows[rows[:, defects.WORST_AREA] <= defects.LARGE_AREA]

    assert [infer(loaded, row) for row in small] == [infer(healthy, row) for row in small]


def test_the_hanging_version_never_answers_real_rows(catalogue, rows):
    loaded = session(catalogue, "1.4.0")

    for row in rows[:5]:
        options = onnxruntime.RunOptions()
        timer = threading.Timer(0.1, setattr, (options, "terminate", True))
        timer.start()
        with pytest.raises(Exception, match="terminate flag"):
            infer(loaded, row, options)
        timer.join()


def test_the_narrow_version_refuses_what_stable_accepts(catalogue, rows):
    with pytest.raises(Exception, match="Got: 30 Expected: 10"):
        infer(session(catalogue, "1.5.0"), rows[0])


def test_expected_answers_tell_versions_apart_and_no_others(catalogue, rows):
    prepared = samples.load(catalogue.samples(models.TUMOUR))
    values = {
        version: infer(session(catalogue, version), rows[7]).values
        for version in ("1.0.0", "1.1.0")
    }

    assert prepared.is_right(7, samples.Answer("1.0.0", values["1.0.0"]))
    assert prepared.is_right(7, samples.Answer("1.1.0", values["1.1.0"]))
    assert not prepared.is_right(7, samples.Answer("1.0.0", values["1.1.0"]))
    assert not prepared.is_right(8, samples.Answer("1.0.0", values["1.0.0"]))
    assert not prepared.is_right(7, samples.Answer("1.2.0", values["1.1.0"]))


def test_an_unknown_release_is_named_with_those_that_exist(catalogue):
    with pytest.raises(KeyError, match=r"no release tumour 9: there are tumour 1\.0\.0"):
        catalogue.release(models.TUMOUR, "9")
