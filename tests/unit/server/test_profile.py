"""Reference profiles: made of tables, read with care, fitted to a model."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from slipway_server import cli
from slipway_server.core import profile as profiles
from slipway_server.core.errors import LoadError
from slipway_server.core.profile import Category, Number, Profile
from slipway_server.core.signature import Signature, TensorSpec
from slipway_server.core.tensors import Datatype
from slipway_server.distributions import survey, tables
from slipway_server.distributions.survey import Column

X = Signature((TensorSpec("x", Datatype.FP32, (-1, 3)),), ())
APART = Signature(
    (TensorSpec("age", Datatype.FP32, (-1, 1)), TensorSpec("land", Datatype.BYTES, (-1, 1))), ()
)


def made(*values, name="a"):
    (feature,) = survey.profile([Column(name, np.array(values))])[0].features
    return feature


def test_bins_hold_about_as_many_rows_each():
    feature = made(*(float(each) for each in range(1000)))

    assert len(feature.bins) == 20 + 3
    assert feature.counts == (0, *[50] * 20, 0, 0)
    assert feature.edges[:2] == (0.0, 50.0)
    assert feature.edges[-1] == 999.0


def test_few_different_values_have_a_bin_each():
    feature = made(*[0.0] * 70, *[1.0] * 20, *[2.0] * 10)

    assert feature.edges == (0.0, 1.0, 2.0, 2.0)
    assert feature.bins[1:4] == ("[0,1)", "[1,2)", "[2,2]")
    assert feature.counts == (0, 70, 20, 10, 0, 0)


def test_what_never_changes_has_one_bin():
    assert made(3.0, 3.0).counts == (0, 2, 0, 0)


def test_missing_numbers_and_infinite_ones_are_counted_apart():
    feature = made(1.0, 2.0, np.nan, np.inf, -np.inf)

    assert (feature.counts[0], feature.counts[-2:]) == (1, (1, 1))


def test_edges_of_single_floats_read_as_a_person_writes_them():
    (feature,) = survey.profile([Column("a", np.array([0.1, 0.3], np.float32))])[0].features

    assert feature.edges == (0.1, 0.3, 0.3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_value_that_is_an_edge_stays_one_in_the_models_type(dtype):
    random = np.random.default_rng(1)
    column = np.round(random.random(5000), 2)
    feature = made(*column)

    places = feature.cuts(np.dtype(dtype)).searchsorted(column.astype(dtype), side="right")

    assert tuple(np.bincount(places, minlength=len(feature.bins))) == feature.counts


def test_of_categories_the_frequent_are_named():
    values = np.array(["a"] * 3 + ["b"] * 2 + [""] + [f"r{i:02}" for i in range(30)], dtype=object)

    (feature,) = survey.profile([Column("c", values)])[0].features

    assert feature.values[:3] == ("a", "b", "r00")
    assert len(feature.bins) == 22
    assert feature.counts[-2:] == (12, 1)
    assert sum(feature.counts) == len(values)


def test_a_table_of_comma_separated_values(tmp_path):
    (tmp_path / "t.csv").write_text("age,label,land\n31,0,de\nNA,1,\n,1,fr\n")

    columns = tables.read(tmp_path / "t.csv", drop=["label"])

    assert [(column.name, column.index) for column in columns] == [("age", 0), ("land", 1)]
    assert columns[0].values.tolist()[0] == 31
    assert np.isnan(columns[0].values[1:]).all()
    assert columns[1].values.tolist() == ["de", "", "fr"]


def test_tables_of_numpy_name_columns_by_place(tmp_path):
    np.save(tmp_path / "t.npy", np.zeros((3, 2), np.float32))
    np.savez(tmp_path / "t.npz", x=np.zeros((3, 2)), land=np.array(["a", "b", ""]))

    plain = tables.read(tmp_path / "t.npy")
    named = tables.read(tmp_path / "t.npz")

    assert [(c.name, c.input, c.index) for c in plain] == [("[0]", None, 0), ("[1]", None, 1)]
    assert [(c.name, c.input, c.index) for c in named] == [
        ("x[0]", "x", 0),
        ("x[1]", "x", 1),
        ("land", "land", 0),
    ]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv", "a,b\n1\n", "line 2 of t.csv has 1 fields, its head 2"),
        ("t.csv", "a,b\n", "no rows"),
        ("t.csv", "a\nNA\n", "column 'a' has no number in it"),
        ("t.parquet", "", "must be .csv, .npy or .npz"),
        ("absent.csv", None, "No such file"),
    ],
)
def test_a_table_that_is_none_is_told_in_a_line(tmp_path, capsys, name, content, words):
    if content is not None:
        (tmp_path / name).write_text(content)

    assert cli.main(["profile", str(tmp_path / name)]) == 1

    assert words in capsys.readouterr().err


def test_the_command_writes_what_the_server_reads(tmp_path, capsys):
    table, file = tmp_path / "t.csv", tmp_path / "profile.json"
    table.write_text("a,b,c,y\n" + "".join(f"{i},{i % 2},0.5,1\n" for i in range(100)))

    assert cli.main(["profile", str(table), "--drop", "y", "-o", str(file)]) == 0
    profile = profiles.read(file, X)

    assert profile.rows == 100
    assert [feature.name for feature in profile.features] == ["a", "b", "c"]
    assert [profiles.place(feature, X) for feature in profile.features] == [
        ("x", 0),
        ("x", 1),
        ("x", 2),
    ]


def test_of_many_columns_some_are_left_out_and_may_be_chosen(tmp_path, capsys):
    np.save(tmp_path / "t.npy", np.zeros((4, 40)))

    assert cli.main(["profile", str(tmp_path / "t.npy")]) == 0
    told = capsys.readouterr()
    assert cli.main(["profile", str(tmp_path / "t.npy"), "--feature", "[39]"]) == 0
    chosen = json.loads(capsys.readouterr().out)["features"]

    assert "8 columns are left out" in told.err
    assert len(json.loads(told.out)["features"]) == 32
    assert [(each["name"], each["column"]) for each in chosen] == [("[39]", 39)]


def test_where_a_model_has_several_inputs_a_feature_is_the_one_of_its_name():
    age = Number(name="age", column=4, edges=(0, 1), counts=(0, 1, 0, 0))
    land = Category(name="land", values=("de",), counts=(1, 0, 0))

    assert [profiles.place(each, APART) for each in (age, land)] == [("age", 0), ("land", 0)]


FEATURE = {"name": "a", "kind": "number", "edges": [0, 1], "counts": [0, 1, 0, 0]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"column": 3}, "'a' is column 3 of input 'x', whose shape is [-1, 3]"),
        ({"input": "z"}, "input 'z', which the model does not have; it has x"),
        ({"edges": [1, 0]}, "the edges of 'a' must ascend"),
        ({"edges": [0, 0, 1], "counts": [0] * 5}, "the edges of 'a' must ascend"),
        ({"counts": [1]}, "'a' has 1 counts for 4 bins"),
        ({"edges": list(range(30))}, "at most 24 bins"),
        ({"kind": "category", "values": ["v"], "edges": None}, "features.0.category.edges"),
        ({"colour": "red"}, "features.0.number.colour"),
    ],
)
def test_a_profile_that_does_not_fit_is_refused(tmp_path, changes, words):
    feature = FEATURE | changes
    file = tmp_path / "profile.json"
    fields = {"format": "slipway-profile/1", "rows": 1, "features": [feature]}
    file.write_text(json.dumps(fields))

    with pytest.raises(LoadError) as caught:
        profiles.read(file, X)

    assert words in caught.value.message


def test_strings_are_categories_and_nothing_else_is():
    number = Number(name="land", edges=(0, 1), counts=(0, 1, 0, 0))
    category = Category(name="a", values=("v",), counts=(1, 0, 0))

    with pytest.raises(LoadError, match="strings are categories"):
        profiles.place(number, APART)
    with pytest.raises(LoadError, match="strings are categories"):
        profiles.place(category, X)


def test_the_profile_in_the_documents_is_one():
    text = (Path(__file__).parents[3] / "docs" / "drift.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)

    profile = Profile.model_validate_json(example)

    assert all(sum(feature.counts) == profile.rows for feature in profile.features)


def test_no_two_features_have_one_name():
    feature = Number(name="a", edges=(0, 1), counts=(0, 1, 0, 0))

    with pytest.raises(ValueError, match="a name of its own"):
        Profile(rows=1, features=(feature, feature))
