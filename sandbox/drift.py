"""What models see and give, on the dashboard: how far it is from what it was."""

from collections.abc import Iterable
from typing import Final

from sandbox import promql
from sandbox.panels import SERVED, Panel, Query, by_role, of_role, pair, served
from slipway_api import metrics

_WINDOW: Final = "15m"  # of distributions, which want a thousand rows


def panels() -> Iterable[Panel]:
    """List the panels, in reading order."""
    yield Panel(
        "Drift of predictions: candidate against stable",
        (Query(_predicted_apart(), "{{output}}"),),
        about="PSI of the predicted classes of the last 15 minutes: below 0.1 they are alike, from"
        " 0.25 on they differ. It wants a thousand rows on each side.",
    )
    yield Panel(
        "Rows that were looked at",
        (Query(served(metrics.SERVER_SAMPLED_ROWS, keep=""), "{{role}}"),),
        unit="ops",
        about="Of which features and predictions were counted.",
    )
    yield from pair(
        "Drift of features",
        (Query(_features_apart(), "{{feature}}"),),
        about="PSI of the last 15 minutes against the model's reference profile.",
    )
    predicted = served(metrics.SERVER_PREDICTION_ROWS, keep="output, class")
    yield from pair(
        "Predictions",
        (Query(predicted, "{{output}} {{class}}"),),
        unit="ops",
        about="By class, or interval of a value.",
    )
    confidence = served(f"{metrics.SERVER_CONFIDENCE}_bucket", keep="output, le")
    value = served(f"{metrics.SERVER_PREDICTION_VALUE}_bucket", keep="output, le")
    yield from pair(
        "Confidence and value",
        (
            Query(f"histogram_quantile(0.5, {confidence})", "{{output}}: confidence"),
            Query(f"histogram_quantile(0.5, {value})", "{{output}}: value"),
        ),
        about="Medians; confidence is the highest of probabilities.",
    )


def _predicted_apart() -> str:
    sides = [
        of_role(
            by_role(
                f"increase({metrics.SERVER_PREDICTION_ROWS}{{{SERVED}}}[{_WINDOW}])",
                revision_label="revision",
                keep="output, class",
            ),
            role,
        )
        for role in ("candidate", "stable")
    ]
    live, reference = (f"sum by (output, class) ({side})" for side in sides)
    return promql.psi(live, reference, of="output", bins="class")


def _features_apart() -> str:
    counted = f"increase({metrics.SERVER_FEATURE_ROWS}{{{SERVED}}}[{_WINDOW}])"
    live, reference = (
        by_role(each, revision_label="revision", keep="feature, bin")
        for each in (counted, f"{metrics.SERVER_REFERENCE_ROWS}{{{SERVED}}}")
    )
    return promql.psi(live, reference, of="role, feature", bins="bin")
