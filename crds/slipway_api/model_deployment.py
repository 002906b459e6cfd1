"""ModelDeployment: the specification that a user writes."""

from typing import Annotated, Literal

from pydantic import Field

from slipway_api.base import ContractModel, Duration, Percent
from slipway_api.compute_pool import Resources

ObjectName = Annotated[
    str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")
]


class ModelSource(ContractModel):
    """Which model, where its bytes are, and what they must be."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=128,
            pattern=r"^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$",
            description="Name in request paths: /v2/models/NAME/infer.",
        ),
    ]
    version: Annotated[
        str,
        Field(
            min_length=1,
            max_length=63,
            pattern=r"^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$",
            description="Version reported in answers and metrics.",
        ),
    ]
    uri: Annotated[
        str,
        Field(
            min_length=1,
            max_length=2048,
            description="Where the bytes are: http(s)://… (one file), s3://BUCKET/KEY (a file or"
            " a prefix), pvc://CLAIM/PATH (a volume).",
        ),
    ]
    digest: Annotated[
        str | None,
        Field(
            pattern=r"^sha256:[0-9a-f]{64}$",
            description="sha256 of the file, or of the sorted lines 'SHA256  PATH' of a directory;"
            " checked before the model is loaded.",
        ),
    ] = None
    credentials_secret: Annotated[
        ObjectName | None,
        Field(
            description="Secret in this namespace whose keys become environment variables of the"
            " model container (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, …)."
        ),
    ] = None


class EnvVar(ContractModel):
    """One environment variable of the model container."""

    name: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    value: Annotated[str, Field(max_length=4096)] = ""


class Runtime(ContractModel):
    """The program that serves the model."""

    name: Annotated[
        Literal["onnx"], Field(description="Built-in runtime: onnx (ONNX Runtime on CPU).")
    ] = "onnx"
    image: Annotated[
        str | None,
        Field(min_length=1, max_length=512, description="Image to use instead of the built-in."),
    ] = None
    env: Annotated[
        tuple[EnvVar, ...],
        Field(max_length=64, description="Extra variables of the model container."),
    ] = ()


class SecretReference(ContractModel):
    """Name of a Secret in this namespace."""

    name: ObjectName


class Compute(ContractModel):
    """Where the pods run, how many, with what."""

    pool: Annotated[ObjectName, Field(description="Name of a ComputePool.")] = "cpu"
    replicas: Annotated[int, Field(ge=1, le=1000, description="Pods of the stable revision.")] = 1
    resources: Annotated[
        Resources, Field(description="Merged by name over the pool's default resources.")
    ] = Resources()
    service_account_name: ObjectName | None = None
    image_pull_secrets: Annotated[tuple[SecretReference, ...], Field(max_length=8)] = ()
    pod_labels: Annotated[dict[str, str], Field(description="Extra labels of the pods.")] = {}
    pod_annotations: Annotated[
        dict[str, str], Field(description="Extra annotations of the pods.")
    ] = {}


class CanaryStep(ContractModel):
    """One step of a canary."""

    weight: Annotated[
        int, Field(ge=1, le=100, description="Percent of live traffic for the candidate.")
    ]
    hold: Annotated[
        Duration,
        Field(description="Shortest time at this weight, counted from when every router shows it."),
    ] = "0s"
    pause: Annotated[
        bool, Field(description="Stay at this step until a person promotes or resumes.")
    ] = False


class Canary(ContractModel):
    """Grow the candidate's weight step by step, then to 100 %."""

    steps: Annotated[tuple[CanaryStep, ...], Field(min_length=1, max_length=20)]


DEFAULT_CANARY = Canary(
    steps=(
        CanaryStep(weight=5, hold="2m"),
        CanaryStep(weight=25, hold="5m"),
        CanaryStep(weight=50, hold="5m"),
    )
)


class Strategy(ContractModel):
    """How a new revision takes over."""

    canary: Canary = DEFAULT_CANARY


class Metric(ContractModel):
    """A gate: a measurement of candidate and stable with a limit."""

    name: Annotated[
        Literal["error-rate", "latency-p50", "latency-p90", "latency-p95", "latency-p99"],
        Field(description="A built-in measurement, taken by the routers on every attempt."),
    ]
    max: Annotated[
        str | None,
        Field(
            max_length=32,
            description="Absolute limit: a percentage for error-rate (1%), a duration for"
            " latency (200ms).",
        ),
    ] = None
    max_increase: Annotated[
        Percent | None,
        Field(description="Limit relative to stable over the same time, e.g. 20%."),
    ] = None


class Insufficient(ContractModel):
    """What to do when there is too little traffic for a verdict."""

    after: Annotated[Duration, Field(description="How long to wait for samples in a step.")] = "30m"
    then: Annotated[
        Literal["hold", "pause", "promote"],
        Field(description="hold: keep waiting; pause: ask a person; promote: go on unproven."),
    ] = "hold"


class Analysis(ContractModel):
    """Which measurements decide. Failures, refusals and pod health are always watched."""

    metrics: Annotated[tuple[Metric, ...], Field(max_length=16)] = ()
    insufficient: Insufficient = Insufficient()


class TrafficPolicy(ContractModel):
    """How requests are treated on their way to the pods."""

    timeout: Annotated[
        Duration, Field(description="Longest time for one request, retries included.")
    ] = "60s"
    retry: Annotated[
        Literal["any", "unprocessed", "none"],
        Field(
            description="any: a failed attempt is tried once more on the other revision or pod;"
            " unprocessed: only if the pod cannot have begun; none: never."
        ),
    ] = "any"


class ModelDeploymentSpec(ContractModel):
    """What should serve, where, and how changes are made."""

    model: ModelSource
    runtime: Runtime = Runtime()
    compute: Compute = Compute()
    strategy: Strategy = Strategy()
    analysis: Analysis = Analysis()
    traffic: TrafficPolicy = TrafficPolicy()
