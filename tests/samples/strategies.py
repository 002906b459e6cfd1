"""Strategies as users write them; engine and plugin compile each to the same steps."""

from typing import Any, Final

BETA: Final = {"header": "x-beta", "value": "yes"}
STICKY: Final = {"sticky": {"header": "x-user-id"}}

WRITTEN: Final[dict[str, dict[str, Any]]] = {
    "canary": {"canary": {"steps": [{"weight": 5, "hold": "1m"}, {"weight": 50, "pause": True}]}},
    "canary with probation": {"canary": {"steps": [{"weight": 5}]}, "probation": "10m"},
    "blue-green": {
        "blueGreen": {"hold": "5m", "mirror": 20, "pause": True},
        "probation": "1h",
    },
    "blue-green that keeps nothing": {"blueGreen": {}, "probation": "0s"},
    "shadow": {"shadow": {"mirror": 30}},
    "shadow, then canary": {"shadow": {"hold": "1m", "canary": {"steps": [{"weight": 50}]}}},
    "A/B test": {"abTest": {"hold": "24h"}},
    "champion and challenger": {"abTest": {"weight": 10, "hold": "1h", "then": "pause"}},
    "feature flag": {"featureFlag": {"match": [BETA]}},
    "direct": {"direct": {}},
    "rolling": {"rolling": {}},
    "steps": {
        "steps": [
            {"scale": "50%"},
            {"mirror": 10, "match": [BETA]},
            {"gate": True},
            {"weight": 5, "mirror": 0, "hold": "1m"},
            {"weight": 60, "match": [], "scale": 0, "approve": True},
        ]
    },
}
