"""The workload of a ModelDeployment: the program that serves, and where its pods run."""

import re
from typing import Annotated, Final, Literal

from pydantic import Field

from slipway_api.base import (
    LABEL_KEY_PATTERN,
    ContractModel,
    LabelValue,
    ObjectName,
    cel_text,
)
from slipway_api.compute_pool import Resources
from slipway_api.names import SERVER_ENV, SERVER_ENV_PREFIX, SERVER_KEYS_ENV
from slipway_api.rules import rule

RESERVED_ENV: Final = tuple(SERVER_ENV_PREFIX + name for name in SERVER_ENV)
KEYS_ENV: Final = tuple(SERVER_ENV_PREFIX + name for name in SERVER_KEYS_ENV)
# Labels under these prefixes are how the operator and its selectors find pods.
RESERVED_KEY_PREFIXES: Final = ("slipway.dev/", "app.kubernetes.io/")
LABEL_KEY_LENGTH_MAX: Final = 317
_LABEL_KEY: Final = re.compile(LABEL_KEY_PATTERN)


def _cel_list(texts: tuple[str, ...]) -> str:
    return f"[{', '.join(cel_text(text) for text in texts)}]"


def _keys_cel(field: str) -> str:
    free = " && ".join(f"!k.startsWith({cel_text(prefix)})" for prefix in RESERVED_KEY_PREFIXES)
    return f"!has(self.{field}) || self.{field}.all(k, {free})"


def _key_shape_cel(field: str) -> str:
    return (
        f"!has(self.{field}) || self.{field}.all(k, k.size() <= {LABEL_KEY_LENGTH_MAX} &&"
        f" k.matches({cel_text(LABEL_KEY_PATTERN)}))"
    )


def _are_free(keys: dict[str, str]) -> bool:
    return not any(key.startswith(RESERVED_KEY_PREFIXES) for key in keys)


def _are_keys(keys: dict[str, str]) -> bool:
    return all(len(key) <= LABEL_KEY_LENGTH_MAX and _LABEL_KEY.fullmatch(key) for key in keys)


class EnvVar(ContractModel):
    """One environment variable of the model container."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=128,
            pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
            description="Name of the variable.",
        ),
    ]
    value: Annotated[str, Field(max_length=4096, description="Its value.")] = ""

    @rule(
        f"!(self.name in {_cel_list(RESERVED_ENV)})",
        message="the operator sets this variable itself, from spec.model and metadata: remove it",
        field="name",
    )
    def is_not_reserved(self) -> bool:
        return self.name not in RESERVED_ENV


class Runtime(ContractModel):
    """The program that serves the model."""

    name: Annotated[
        Literal["onnx"], Field(description="Built-in runtime: onnx (ONNX Runtime on CPU).")
    ] = "onnx"
    image: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=512,
            pattern=r"^[A-Za-z0-9][-._/:@A-Za-z0-9]*$",
            description="Image to use instead of the built-in one.",
        ),
    ] = None
    env: Annotated[
        tuple[EnvVar, ...],
        Field(
            max_length=64,
            description="Extra variables of the model container.",
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            },
        ),
    ] = ()
    auth_keys_secret: Annotated[
        ObjectName | None,
        Field(
            description="Secret in this namespace whose key 'keys' holds lines of NAME SHA256"
            " [RIGHTS]: only with one of these API keys may a client infer. Absent: everybody may."
        ),
    ] = None

    @rule(
        f"!has(self.authKeysSecret) || !has(self.env) ||"
        f" !self.env.exists(e, e.name in {_cel_list(KEYS_ENV)})",
        message=f"authKeysSecret sets {' and '.join(KEYS_ENV)}: remove them from env, or leave"
        " authKeysSecret out",
        field="env",
    )
    def leaves_keys_to_their_secret(self) -> bool:
        return self.auth_keys_secret is None or not any(e.name in KEYS_ENV for e in self.env)

    @rule(
        "!has(self.env) || self.env.all(e, self.env.exists_one(o, o.name == e.name))",
        message="a variable is given twice: keep one entry for each name",
        field="env",
    )
    def names_each_variable_once(self) -> bool:
        return len({variable.name for variable in self.env}) == len(self.env)


class SecretReference(ContractModel):
    """A Secret in this namespace."""

    name: Annotated[ObjectName, Field(description="Name of the Secret.")]


class Compute(ContractModel):
    """Where the pods run, how many, with what."""

    pool: Annotated[ObjectName, Field(description="Name of a ComputePool.")] = "cpu"
    replicas: Annotated[int, Field(ge=1, le=1000, description="Pods of the stable revision.")] = 1
    resources: Annotated[
        Resources, Field(description="Merged by name over the pool's default resources.")
    ] = Resources()
    service_account_name: Annotated[
        ObjectName | None, Field(description="ServiceAccount of the pods, if not the default one.")
    ] = None
    image_pull_secrets: Annotated[
        tuple[SecretReference, ...],
        Field(max_length=8, description="Secrets in this namespace to pull the image with."),
    ] = ()
    pod_labels: Annotated[
        dict[str, LabelValue], Field(max_length=32, description="Extra labels of the pods.")
    ] = Field(default_factory=dict)
    pod_annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=4096)]],
        Field(max_length=32, description="Extra annotations of the pods."),
    ] = Field(default_factory=dict)

    @rule(
        _keys_cel("podLabels"),
        message="labels under slipway.dev/ and app.kubernetes.io/ are set by the operator:"
        " use a prefix of your own, e.g. example.com/team",
        field="podLabels",
    )
    def labels_are_free(self) -> bool:
        return _are_free(self.pod_labels)

    @rule(
        _keys_cel("podAnnotations"),
        message="annotations under slipway.dev/ and app.kubernetes.io/ are set by the operator:"
        " use a prefix of your own, e.g. example.com/team",
        field="podAnnotations",
    )
    def annotations_are_free(self) -> bool:
        return _are_free(self.pod_annotations)

    @rule(
        _key_shape_cel("podLabels"),
        message="keys of podLabels must be label keys, e.g. team or example.com/team",
        field="podLabels",
    )
    def labels_have_keys(self) -> bool:
        return _are_keys(self.pod_labels)

    @rule(
        _key_shape_cel("podAnnotations"),
        message="keys of podAnnotations must be annotation keys, e.g. example.com/team",
        field="podAnnotations",
    )
    def annotations_have_keys(self) -> bool:
        return _are_keys(self.pod_annotations)
