"""What only the operator can check of a static answer: that its body is JSON."""

import pytest
from pydantic import ValidationError

from slipway_api.model_deployment import ModelDeployment
from slipway_api.rules import describe
from tests.samples.contract_objects import MINIMAL, changed


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{outputs: []}", "must be the text of a JSON object"),
        ('{"a": 1,}', "must be the text of a JSON object"),
        ('{"a": 1} {"b": 2}', "must be the text of a JSON object"),
        ('{"a": NaN}', "JSON has no NaN"),
        ('{"a": ' + 1500 * "[" + 1500 * "]" + "}", "must be the text of a JSON object"),
        ('{"a": "' + 2048 * "\u00e9" + '"}', "at most 4096 bytes"),
    ],
    ids=["yaml", "comma", "two", "nan", "deep", "bytes"],
)
def test_a_body_that_is_no_json_is_refused_with_the_cause(body: str, words: str) -> None:
    wrong = changed(MINIMAL, "spec.traffic.staticAnswer", {"body": body})

    with pytest.raises(ValidationError) as refusal:
        ModelDeployment.model_validate(wrong)

    told = describe(refusal.value, at="ModelDeployment")
    assert words in told
    assert "spec.traffic.staticAnswer" in told
    assert len(told) < 400


def test_a_body_may_be_written_over_several_lines() -> None:
    body = '\n{\n  "outputs": [{"note": "100 %"}]\n}\n'
    taken = changed(MINIMAL, "spec.traffic.staticAnswer", {"body": body})

    found = ModelDeployment.model_validate(taken).spec.traffic.static_answer

    assert found is not None
    assert (found.body, found.status) == (body, 200)
