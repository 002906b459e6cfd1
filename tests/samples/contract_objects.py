"""Objects that the contract takes or refuses, for the models and for the API server alike."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

Object = dict[str, Any]

MINIMAL: Final[Object] = {
    "apiVersion": "slipway.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "churn", "namespace": "default"},
    "spec": {"model": {"name": "churn", "version": "1.3.0", "uri": "s3://models/churn/1.3.0"}},
}

FULL_SPEC: Final[Object] = {
    "model": {
        "name": "churn",
        "version": "1.3.0",
        "uri": "https://models.example.com/churn.onnx",
        "digest": f"sha256:{'0123456789abcdef' * 4}",
        "credentialsSecret": "models-reader",
        "expectations": {
            "signature": {
                "inputs": [
                    {"name": "x", "datatype": "FP32", "shape": [-1, 3]},
                    {"name": "tag", "datatype": "BYTES", "shape": []},
                ],
                "outputs": [
                    {"name": "y", "datatype": "BF16", "shape": [-1]},
                    {"name": "s", "datatype": "FP64", "shape": [-1]},
                ],
            },
            "warmUp": [{"x": [1, 3]}, {"x": [8, 3], "tag": []}],
            "goldenRequests": [
                {
                    "request": {
                        "id": "1",
                        "inputs": [
                            {
                                "name": "x",
                                "datatype": "FP32",
                                "shape": [2, 3],
                                "data": [[1, 2, 3], [0.5, 0, -1e-7]],
                                "parameters": {"content_type": "np"},
                            },
                            {"name": "tag", "datatype": "BYTES", "shape": [], "data": ["$(A)"]},
                        ],
                    },
                    "response": {
                        "model_name": "churn",
                        "outputs": [
                            {"name": "s", "datatype": "FP64", "shape": [2], "data": [0.5, None]}
                        ],
                    },
                    "tolerance": {"relative": 0.001, "absolute": 0},
                }
            ],
        },
    },
    "runtime": {
        "name": "onnx",
        "image": "registry.example.com:5000/serving/onnx@sha256:" + "ab" * 32,
        "env": [{"name": "OMP_NUM_THREADS", "value": "2"}, {"name": "TZ"}],
        "authKeysSecret": "churn-keys",
    },
    "compute": {
        "pool": "gpu-a100",
        "replicas": 3,
        "resources": {
            "requests": {"cpu": "500m", "memory": "1.5Gi", "example.com/fpga": 1},
            "limits": {"cpu": 2, "memory": "2Gi", "ephemeral-storage": "1e9"},
        },
        "serviceAccountName": "models",
        "imagePullSecrets": [{"name": "registry"}],
        "podLabels": {"example.com/team": "risk", "tier": ""},
        "podAnnotations": {"prometheus.io/scrape": "true"},
    },
    "strategy": {
        "canary": {
            "steps": [
                {"weight": 1, "hold": "1m30s"},
                {"weight": 10, "pause": True},
                {"weight": 100, "hold": "168h"},
            ]
        }
    },
    "analysis": {
        "metrics": [
            {"name": "error-rate", "max": "0.5%", "maxIncrease": "20%"},
            {"name": "latency-p99", "max": "250ms"},
            {"name": "latency-p50", "maxIncrease": "150%"},
            {
                "name": "business",
                "query": 'avg_over_time(value{revision={{candidate}}, ns="{{namespace}}"}[1m])',
                "min": 0.9,
                "max": 5,
                "interval": "30s",
            },
        ],
        "alerts": [{"name": "ChurnModelBroken", "labels": {"service": "churn"}}],
        "maxBadAnswers": 50,
        "insufficient": {"after": "10m", "then": "pause"},
    },
    "traffic": {
        "timeout": "1h",
        "retry": "unprocessed",
        "staticAnswer": {"body": '{"outputs": [], "note": "50 %"}\n', "status": 503},
    },
}


def changed(base: Object, path: str, value: Any) -> Object:
    """Copy an object with the value at a dotted path replaced."""
    copy = deepcopy(base)
    *parents, last = path.split(".")
    node = copy
    for part in parents:
        node = node.setdefault(part, {})
    node[last] = value
    return copy


@dataclass(frozen=True, slots=True)
class Refused:
    """An object with one value that makes no sense, and words of the message that it gets."""

    path: str
    value: Any
    words: str

    @property
    def object(self) -> Object:
        return changed(MINIMAL, self.path, self.value)

    def __str__(self) -> str:
        return f"{self.path}={str(self.value)[:40]}"


def _own(*steps: Object) -> Object:
    return {"steps": list(steps)}


def _flag(**match: str) -> Object:
    return {"featureFlag": {"match": [match]}}


def _steps(*weights: int) -> Object:
    return {"canary": {"steps": [{"weight": weight} for weight in weights]}}


def _step(**fields: Any) -> Object:
    return {"canary": {"steps": [{"weight": 5, **fields}]}}


def _query(**fields: Any) -> list[Object]:
    return [{"name": "business", "query": "vector(1)", **fields}]


def keyed(*variables: str) -> Object:
    """Write a runtime that asks for keys and has these variables."""
    return {"authKeysSecret": "churn-keys", "env": [{"name": name} for name in variables]}


X: Final[Object] = {"name": "x", "datatype": "FP32", "shape": [-1, 2]}
Y: Final[Object] = {"name": "y", "datatype": "INT64", "shape": [-1]}
SIGNATURE: Final[Object] = {"inputs": [X], "outputs": [Y]}


def golden(x: Object | None = None, y: Object | None = None, **more: Any) -> Object:
    """Write a golden request for that signature, as it was recorded."""
    asked = X | {"shape": [2, 2], "data": [1, 2.5, -3e-7, 0]} | (x or {})
    told = Y | {"shape": [2], "data": [0, 1]} | (y or {})
    request = {"id": "7", "inputs": [asked], "outputs": [{"name": "y"}]}
    response = {"model_name": "churn", "model_version": "1", "outputs": [told]}
    return {"request": request, "response": response, **more}


def expecting(*goldens: Object, **more: Any) -> Object:
    """Write expectations with that signature."""
    return {"signature": SIGNATURE, **more} | ({"goldenRequests": goldens} if goldens else {})


_SCHEME: Final = "uri must begin with"
_HTTP: Final = "write http(s)://HOST/PATH"
_S3: Final = "write s3://BUCKET/KEY"
_PVC: Final = "write pvc://CLAIM/PATH"
_RISE: Final = "weights must rise"
_FALL: Final = "weights may not fall"
_ONE: Final = "name exactly one strategy"
_RATE: Final = "max of error-rate is a percentage above 0%"
_LATENCY: Final = "max of a latency is a duration above 0"
_LABELS: Final = "labels under slipway.dev/ and app.kubernetes.io/ are set by the operator"
_ANNOTATIONS: Final = "annotations under slipway.dev/ and app.kubernetes.io/ are set by"
_RESERVED: Final = "the operator sets this variable itself"
_PLACEHOLDER: Final = "a query may hold {{namespace}}, {{name}}"
_INPUTS: Final = "must have exactly the inputs of signature"
_OUTPUTS: Final = "may only have outputs of signature"
_WARM_UP: Final = "warmUp may only name inputs of signature"
_KEYS: Final = "remove them from env, or leave authKeysSecret out"
_TIMEOUT: Final = "timeout must be above 0 and at most 1h"

REFUSED: Final = (
    Refused("metadata.name", "c" * 51, "at most 50 characters"),
    Refused("metadata.name", "churn.v2", "lower-case letters, digits and '-'"),
    Refused("metadata.name", "2churn", "beginning with a letter"),
    Refused("spec.model.uri", "models/churn", _SCHEME),
    Refused("spec.model.uri", "gs://models/churn", _SCHEME),
    Refused("spec.model.uri", "S3://models/churn", _SCHEME),
    Refused("spec.model.uri", "https://models.example.com", _HTTP),
    Refused("spec.model.uri", "http:///churn.onnx", _HTTP),
    Refused("spec.model.uri", "s3://models", _S3),
    Refused("spec.model.uri", "s3://Models/churn", _S3),
    Refused("spec.model.uri", "pvc://models", _PVC),
    Refused("spec.model.uri", "pvc:///churn", _PVC),
    Refused("spec.model.uri", "pvc://models//churn", _PVC),
    Refused("spec.model.uri", "file://models/churn", "write file:///PATH"),
    Refused("spec.model.uri", "pvc://models/../secret", "may not contain '..'"),
    Refused("spec.model.uri", "file:///models/..", "may not contain '..'"),
    Refused("spec.model.uri", "https://me:pw@example.com/m", "may not carry credentials"),
    Refused("spec.model.expectations", expecting(golden(x={"name": "z"})), _INPUTS),
    Refused("spec.model.expectations", expecting(golden(x={"datatype": "FP64"})), _INPUTS),
    Refused("spec.model.expectations", expecting(golden(y={"name": "z"})), _OUTPUTS),
    Refused("spec.model.expectations", expecting(warmUp=[{"z": [1, 2]}]), _WARM_UP),
    Refused("spec.model.expectations", expecting(warmUp=[{"x": [2]}]), _WARM_UP),
    Refused("spec.runtime.env", [{"name": "SLIPWAY_SERVER_MODEL_URI"}], _RESERVED),
    Refused("spec.runtime.env", [{"name": "SLIPWAY_SERVER_REVISION"}], _RESERVED),
    Refused("spec.runtime.env", [{"name": "A"}, {"name": "A"}], "a variable is given twice"),
    Refused("spec.runtime", keyed("SLIPWAY_SERVER_AUTH_KEYS_FILE"), _KEYS),
    Refused("spec.runtime", keyed("TZ", "SLIPWAY_SERVER_AUTH_OPEN"), _KEYS),
    Refused("spec.runtime.authKeysSecret", "Churn_Keys", "spec.runtime.authKeysSecret"),
    Refused("spec.compute.podLabels", {"slipway.dev/deployment": "other"}, _LABELS),
    Refused("spec.compute.podLabels", {"app.kubernetes.io/name": "other"}, _LABELS),
    Refused("spec.compute.podAnnotations", {"slipway.dev/command": "x"}, _ANNOTATIONS),
    Refused("spec.compute.podAnnotations", {"app.kubernetes.io/x": "x"}, _ANNOTATIONS),
    Refused("spec.compute.podLabels", {"a b": "x"}, "must be label keys"),
    Refused("spec.compute.podAnnotations", {"a/b/c": "x"}, "must be annotation keys"),
    Refused("spec.strategy", _steps(25, 5), _RISE),
    Refused("spec.strategy", _steps(5, 5), _RISE),
    Refused("spec.strategy", _steps(*range(1, 20), 19), _RISE),
    Refused("spec.strategy", {}, _ONE),
    Refused("spec.strategy", {"rolling": {}, "direct": {}}, _ONE),
    Refused("spec.strategy", {"rolling": {}, **_steps(5)}, _ONE),
    Refused("spec.strategy", _step(hold="169h"), "hold may be at most 168h"),
    Refused("spec.strategy", {"blueGreen": {"hold": "169h"}}, "hold may be at most 168h"),
    Refused("spec.strategy", {"shadow": {"hold": "169h"}}, "hold may be at most 168h"),
    Refused("spec.strategy", {"blueGreen": {}, "shadow": {}}, _ONE),
    Refused("spec.strategy", {"probation": "5m"}, _ONE),
    Refused("spec.strategy", {"direct": {}, "probation": "169h"}, "probation may be at most"),
    Refused("spec.strategy", {"abTest": {"hold": "1h"}}, "say in traffic.sticky"),
    Refused("spec.strategy", _own({"weight": 5}, {"hold": "1m"}, {"weight": 4}), _FALL),
    Refused("spec.strategy", _own({}), "a step has one or more of"),
    Refused("spec.strategy", _own({"gate": False}), "a step has one or more of"),
    Refused("spec.strategy", _own({"hold": "169h"}), "hold may be at most 168h"),
    Refused("spec.strategy", _own({"scale": "0%"}), "scale is a number of pods"),
    Refused("spec.strategy", _own({"scale": "2"}), "scale is a number of pods"),
    Refused("spec.strategy", _flag(value="1"), "give a header or a cookie"),
    Refused("spec.strategy", _flag(header="a", cookie="b", value="1"), "give a header or a cookie"),
    Refused("spec.strategy", _flag(header="x-slipway-a", value="1"), "are removed from requests"),
    Refused("spec.analysis.metrics", [{"name": "error-rate"}], "give a limit"),
    Refused("spec.analysis.metrics", [{"name": "error-rate", "max": "200ms"}], _RATE),
    Refused("spec.analysis.metrics", [{"name": "error-rate", "max": "0.0%"}], _RATE),
    Refused("spec.analysis.metrics", [{"name": "error-rate", "max": "100.1%"}], _RATE),
    Refused("spec.analysis.metrics", [{"name": "error-rate", "max": "1"}], _RATE),
    Refused("spec.analysis.metrics", [{"name": "latency-p99", "max": "5%"}], _LATENCY),
    Refused("spec.analysis.metrics", [{"name": "latency-p99", "max": "0ms"}], _LATENCY),
    Refused("spec.analysis.metrics", [{"name": "latency-p99", "max": "200"}], _LATENCY),
    Refused(
        "spec.analysis.metrics",
        [{"name": "error-rate", "max": "1%"}, {"name": "error-rate", "maxIncrease": "5%"}],
        "a metric is given twice",
    ),
    Refused("spec.analysis.metrics", [{"name": "error-rate", "max": 1}], _RATE),
    Refused("spec.analysis.metrics", [{"name": "latency-p99", "max": 200}], _LATENCY),
    Refused("spec.analysis.metrics", [{"name": "latency-p98", "max": "9ms"}], "name one of"),
    Refused("spec.analysis.metrics", [{"name": "business", "min": 0.9}], "or give a query"),
    Refused("spec.analysis.metrics", _query(name="errors", min=1), "give the query another"),
    Refused("spec.analysis.metrics", _query(name="error-rate", min=1), "give the query another"),
    Refused("spec.analysis.metrics", _query(), "a query has min, max or both"),
    Refused("spec.analysis.metrics", _query(max="5%"), "max of a query is a number"),
    Refused("spec.analysis.metrics", _query(max="200ms"), "max of a query is a number"),
    Refused("spec.analysis.metrics", _query(min=2, max=1), "let min be the smaller one"),
    Refused("spec.analysis.metrics", _query(min=0.5, max="0.4"), "let min be the smaller one"),
    Refused("spec.analysis.metrics", [{"name": "error-rate", "max": "1%", "min": 0}], "min is for"),
    Refused("spec.analysis.metrics", _query(maxIncrease="5%"), "let the query divide"),
    Refused("spec.analysis.metrics", _query(query="up{{{pod}}}", min=1), _PLACEHOLDER),
    Refused("spec.analysis.metrics", _query(query="{{ name }}", min=1), _PLACEHOLDER),
    Refused("spec.analysis.metrics", _query(query="up > {{name}", min=1), _PLACEHOLDER),
    Refused("spec.analysis.metrics", _query(min=1, interval="500ms"), "interval is 1s to 10m"),
    Refused("spec.analysis.metrics", _query(min=1, interval="11m"), "interval is 1s to 10m"),
    Refused(
        "spec.analysis.metrics",
        [{"name": "error-rate", "max": "1%", "interval": "5s"}],
        "for a query only",
    ),
    Refused("spec.analysis.alerts", [{"name": "A"}, {"name": "A"}], "an alert is given twice"),
    Refused("spec.analysis.alerts", [{"name": "A", "labels": {"a-b": "c"}}], "as in Prometheus"),
    Refused("spec.analysis.insufficient", {"after": "200h"}, "after may be at most 168h"),
    Refused("spec.traffic.timeout", "0s", _TIMEOUT),
    Refused("spec.traffic.sticky", {}, "give a header or a cookie"),
    Refused("spec.traffic.sticky", {"header": "a", "cookie": "b"}, "give a header or a cookie"),
    Refused("spec.traffic.sticky", {"header": "x-slipway-user"}, "are removed from requests"),
    Refused("spec.traffic.sticky", {"header": "x-envoy-user"}, "are removed from requests"),
    Refused("spec.traffic.timeout", "61m", _TIMEOUT),
    Refused("spec.traffic.staticAnswer", {"body": "[]"}, "spec.traffic.staticAnswer.body"),
    Refused("spec.traffic.staticAnswer", {"body": "{" + 4096 * " " + "}"}, "staticAnswer.body"),
    Refused("spec.traffic.staticAnswer", {"body": "{}", "status": 204}, "status must be one whose"),
)

TAKEN: Final = (
    MINIMAL,
    changed(MINIMAL, "spec", FULL_SPEC),
    changed(MINIMAL, "metadata.name", "c" * 50),
    changed(MINIMAL, "spec.model.uri", "pvc://models/churn/1"),
    changed(MINIMAL, "spec.model.uri", "file:///opt/models/churn.onnx"),
    changed(MINIMAL, "spec.model.uri", "https://example.com/m..v2/a@b.onnx?version=1"),
    changed(MINIMAL, "spec.model.expectations", {}),
    changed(MINIMAL, "spec.model.expectations", expecting(golden(), golden(), warmUp=[{}])),
    changed(MINIMAL, "spec.runtime", keyed()),
    changed(MINIMAL, "spec.runtime", keyed("SLIPWAY_SERVER_AUTH_JWKS_FILE")),
    changed(MINIMAL, "spec.runtime.env", [{"name": "SLIPWAY_SERVER_AUTH_KEYS_FILE"}]),
    changed(MINIMAL, "spec.strategy", _steps(*range(1, 21))),
    changed(MINIMAL, "spec.strategy", {"rolling": {}}),
    changed(MINIMAL, "spec.strategy", {"direct": {}}),
    changed(MINIMAL, "spec.strategy", {"blueGreen": {}, "probation": "168h"}),
    changed(MINIMAL, "spec.strategy", {"shadow": {}}),
    changed(MINIMAL, "spec.strategy", {"shadow": {"mirror": 100, **_steps(5, 50)}}),
    changed(MINIMAL, "spec.strategy", _flag(header="x-beta", value="yes")),
    changed(MINIMAL, "spec.strategy", _flag(cookie="beta", value="a=b")),
    changed(MINIMAL, "spec.strategy", _own({"scale": 2}, {"scale": "50%"}, {"weight": 0})),
    changed(MINIMAL, "spec.strategy", _own(*({"weight": each} for each in range(20)))),
    changed(
        changed(MINIMAL, "spec.traffic.sticky", {"header": "x-user-id"}),
        "spec.strategy",
        {"abTest": {"hold": "1h"}},
    ),
    changed(MINIMAL, "spec.traffic.sticky", {"header": "x-user-id"}),
    changed(MINIMAL, "spec.traffic.sticky", {"cookie": "SESSION_ID"}),
    changed(MINIMAL, "spec.analysis.metrics", [{"name": "error-rate", "max": "100%"}]),
    changed(MINIMAL, "spec.analysis.metrics", _query(min=0.9)),
    changed(MINIMAL, "spec.analysis.metrics", _query(min=1, max="1.0", interval="10m")),
    changed(MINIMAL, "spec.analysis.metrics", _query(query="{job='a'} < {{name}}", max=-3)),
    changed(MINIMAL, "spec.analysis.metrics", _query(query="a" * 2048, max="-0.5")),
    changed(MINIMAL, "spec.analysis.alerts", [{"name": "A"}, {"name": "B b", "labels": {"c": ""}}]),
)

POOL: Final[Object] = {
    "apiVersion": "slipway.dev/v1alpha1",
    "kind": "ComputePool",
    "metadata": {"name": "gpu"},
    "spec": {
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "team", "value": "risk"},
            {"operator": "Exists"},
        ],
        "resources": {"limits": {"nvidia.com/gpu": 1}},
    },
}


@dataclass(frozen=True, slots=True)
class RefusedPool:
    """A pool with one value that makes no sense, and words of the message that it gets."""

    path: str
    value: Any
    words: str

    @property
    def object(self) -> Object:
        return changed(POOL, self.path, self.value)

    def __str__(self) -> str:
        return f"{self.path}={str(self.value)[:40]}"


REFUSED_POOLS: Final = (
    RefusedPool("spec.tolerations", [{"value": "x"}], "name the taint's key"),
    RefusedPool(
        "spec.tolerations", [{"key": "a", "operator": "Exists", "value": "x"}], "leave value out"
    ),
    RefusedPool("spec.nodeSelector", {"a b": "x"}, "must be label keys"),
)
