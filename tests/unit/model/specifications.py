"""What a user may write, as data: one more strategy, threshold or measurement is one more element.

Names are for stories and reports; values are parts of a manifest as they go over the wire.
"""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

from slipway_api.model_deployment import ModelDeploymentSpec
from tests import builders

Wire = dict[str, Any]

STRATEGIES: Final[dict[str, Wire]] = {
    "canary": {"canary": {"steps": [{"weight": 5, "hold": "60s"}, {"weight": 50, "hold": "60s"}]}},
    "canary of three": {
        "canary": {
            "steps": [
                {"weight": 5},
                {"weight": 25, "hold": "2m"},
                {"weight": 50, "pause": True},
            ]
        }
    },
    "canary to 100": {
        "canary": {"steps": [{"weight": 50, "pause": True}, {"weight": 100, "hold": "60s"}]}
    },
    "blue-green": {"blueGreen": {"hold": "30s"}},
    "blue-green, asked": {"blueGreen": {"mirror": 10, "pause": True}, "probation": "60s"},
    "shadow": {"shadow": {"mirror": 20, "hold": "60s"}},
    "shadow, then canary": {
        "shadow": {"hold": "60s", "canary": {"steps": [{"weight": 50, "hold": "60s"}]}}
    },
    "a/b": {"abTest": {"hold": "90s"}},
    "a/b, asked": {"abTest": {"weight": 20, "hold": "90s", "then": "pause"}},
    "feature flag": {"featureFlag": {"match": [{"header": "x-beta", "value": "yes"}]}},
    "own steps": {
        "steps": [
            {"scale": "50%", "mirror": 10, "hold": "30s", "gate": True},
            {"mirror": 0, "weight": 20, "approve": True},
            {"weight": 60, "hold": "60s", "gate": True},
        ],
        "probation": "60s",
    },
    "rolling": {"rolling": {}},
    "direct": {"direct": {}},
}
# What they do while too few requests come for a verdict.
SCARCITY: Final[dict[str, Wire]] = {
    "hold": {"then": "hold"},
    "pause": {"after": "90s", "then": "pause"},
    "promote": {"after": "90s", "then": "promote"},
}
QUERY: Final = "business"
ALERT: Final = "ModelIsOff"
# How many bad answers a rollout may cost, and what clients get when nobody answers.
BUDGETS: Final[dict[str, Wire]] = {
    "any": {},
    "three": {"maxBadAnswers": 3},
    "thirty": {"maxBadAnswers": 30},
}
STATICS: Final[dict[str, Wire]] = {
    "nothing": {},
    "something": {"staticAnswer": {"body": '{"outputs": []}'}},
    "something else": {"staticAnswer": {"body": '{"error": "later"}', "status": 503}},
}
MEASUREMENTS: Final[dict[str, Wire]] = {
    "none": {},
    "query": {"metrics": [{"name": QUERY, "query": "value", "min": 0.9}]},
    "alert": {"alerts": [{"name": ALERT}]},
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What the manifest says now; `pool` and `is_pinned` are what else makes another revision."""

    version: str = "1"
    strategy: str = "canary"
    replicas: int = 2
    pool: str = "cpu"
    scarcity: str = "hold"
    measurement: str = "none"
    is_pinned: bool = True
    budget: str = "any"
    static: str = "nothing"

    def but(self, **changes: Any) -> "Wish":
        """Edit the manifest."""
        return replace(self, **changes)

    def specification(self) -> ModelDeploymentSpec:
        """Parse the manifest as the API server's object is parsed."""
        return _parsed(self)


@cache
def _parsed(wish: Wish) -> ModelDeploymentSpec:
    model = {
        "name": builders.NAME,
        "version": wish.version,
        "uri": f"s3://models/{builders.NAME}/{wish.version}",
    }
    return ModelDeploymentSpec.model_validate(
        {
            "model": model | ({"digest": builders.DIGEST} if wish.is_pinned else {}),
            "compute": {"pool": wish.pool, "replicas": wish.replicas},
            "strategy": STRATEGIES[wish.strategy],
            "traffic": {"sticky": {"header": "x-user-id"}, **STATICS[wish.static]},  # of A/B tests
            "analysis": {
                "insufficient": SCARCITY[wish.scarcity],
                **MEASUREMENTS[wish.measurement],
                **BUDGETS[wish.budget],
            },
        }
    )
