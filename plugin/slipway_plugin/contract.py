"""What the plugin knows of the contract: names and words that the operator writes too.

The plugin cannot import `slipway_api`, which needs pydantic; a test holds both against each other.
"""

from typing import Final

API_VERSION: Final = "slipway.dev/v1alpha1"
KIND: Final = "ModelDeployment"
RESOURCE: Final = "modeldeployments.slipway.dev"
RECORDS: Final = "controllerrevisions.apps"

LABEL_DEPLOYMENT: Final = "slipway.dev/deployment"
LABEL_REVISION: Final = "slipway.dev/revision"
ANNOTATION_COMMAND: Final = "slipway.dev/command"
ENV_MODEL: Final = "SLIPWAY_SERVER_MODEL_"  # …NAME, VERSION, URI, DIGEST of a model container

# Commands that the operator answers, with what each does.
COMMANDS: Final = {
    "promote": "give the candidate everything now, whatever gates still lack",
    "pause": "stay at this weight until a person says go on",
    "resume": "go on, also past a step's own pause",
    "approve": "answer the step that asks a person",
    "abort": "take the candidate back: weight 0 now",
    "retry": "roll the rejected revision out again that is still asked for",
    "restart": "roll out new pods of what serves, with today's pool and chart",
    "undo": "roll a kept revision out again, the one before by default",
}
ACCEPTED: Final = "Accepted"

PENDING: Final = "Pending"
SERVING: Final = "Serving"
ROLLING_OUT: Final = "RollingOut"
PAUSED: Final = "Paused"
ABORTING: Final = "Aborting"
ROLLED_BACK: Final = "RolledBack"
STALLED: Final = "Stalled"
FAILED: Final = "Failed"
PHASES: Final = (
    PENDING,
    SERVING,
    ROLLING_OUT,
    PAUSED,
    ABORTING,
    ROLLED_BACK,
    STALLED,
    FAILED,
)

PROMOTED: Final = "Promoted"
ABORTED: Final = "Aborted"
SUPERSEDED: Final = "Superseded"
SHADOWED: Final = "Shadowed"
OUTCOMES: Final = (PROMOTED, ABORTED, SUPERSEDED, SHADOWED)

PROBATION: Final = "Probation"  # a reason to wait

READY: Final = "Ready"
STALLED_CONDITION: Final = "Stalled"

# Defaults of a specification, which only the API server fills in.
DEFAULT_STEPS: Final = (
    {"weight": 5, "hold": "2m"},
    {"weight": 25, "hold": "5m"},
    {"weight": 50, "hold": "5m"},
)
DEFAULT_REPLICAS: Final = 1
REPLICAS_MAX: Final = 1000
BAD_ANSWERS_MAX: Final = 1_000_000_000
DEFAULT_POOL: Final = "cpu"
DEFAULT_INSUFFICIENT: Final = {"after": "30m", "then": "hold"}
# About so many answers of a clean candidate make a gate pass; docs/guard.md says how it comes.
CLEAN_ATTEMPTS: Final = 1240
