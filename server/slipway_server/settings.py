"""Settings of the server, read once from the environment by the composition root."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

from slipway_api import names
from slipway_server.backends.placement import Provider
from slipway_server.core.errors import LoadError
from slipway_server.processors import Sizes

T = TypeVar("T")
D = TypeVar("D", int, None)

_FLAGS: Final[Mapping[str, bool]] = {"true": True, "1": True, "false": False, "0": False}
_SMALLEST: Final = Sizes(threads=1, concurrency=2)
_BODY_BYTES_MAX: Final = 64 * 2**20  # as Triton's --http-max-input-size


class AccessLogFormat(StrEnum):
    """What is written about each inference request."""

    OFF = "off"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Settings:
    """Each field is `SLIPWAY_SERVER_<FIELD>` in the environment.

    The operator writes those of `slipway_api.names.SERVER_ENV`; the rest has defaults.
    """

    model_name: str = ""  # empty: none but those of the repository
    model_uri: str = ""
    model_version: str = "1"
    model_digest: str = ""  # `sha256:<hex>`; empty means not checked
    model_expectations: str = ""  # JSON of slipway_api.expectations
    model_repository: Path | None = None
    load_models: tuple[str, ...] = ()  # of the repository, at the start; none: all
    exit_on_error: bool = True  # when one of them cannot be loaded
    strict_readiness: bool = True  # ready only with all of them
    admin_host: str = "127.0.0.1"
    admin_port: int | None = None  # where models are loaded and unloaded; None: nowhere
    provider: Provider = Provider.CPU
    provider_fallback: bool = True  # false: end where it is not to be had
    engine_cache: Path | None = None  # of TensorRT; None: `engines` in MODEL_DIR
    namespace: str = ""
    deployment: str = ""
    revision: str = ""
    host: str = "0.0.0.0"
    http_port: int = names.PORT_HTTP
    grpc_port: int = names.PORT_GRPC
    any_port: int = names.PORT_ANY
    threads: int = 1  # of ONNX Runtime, within one inference
    concurrency: int = 2  # inferences at once
    queue_max: int = 256  # rows that wait; more are shed
    max_batch_size: int = 32  # rows that run together; 1: each request alone
    batch_delay_s: float = 0.0  # how long a batch that is not full waits for more
    body_bytes_max: int = _BODY_BYTES_MAX
    connections_max: int = 1024  # over HTTP, where an idle one gives way; over gRPC
    tls_cert: Path | None = None  # with TLS_KEY: both listeners speak TLS and nothing else
    tls_key: Path | None = None
    tls_client_ca: Path | None = None  # clients must show a certificate of this one
    auth_keys_file: Path | None = None  # without it and the next, everybody may ask
    auth_jwks_file: Path | None = None  # public keys of tokens
    auth_jwt_issuer: str = ""
    auth_jwt_audience: str = ""
    auth_jwt_algorithms: tuple[str, ...] = ("RS256", "ES256")
    auth_jwt_require: tuple[str, ...] = ("exp", "nbf")  # claims, beside issuer and audience
    auth_open: tuple[str, ...] = ()  # what needs no key: `metadata`, `metrics`
    access_log: AccessLogFormat = AccessLogFormat.OFF
    sampled_rows_per_s: int = 1000  # whose features and predictions are counted
    profile: Path | None = None  # None: `profile.json` in the model's folder, if it is there
    grace_s: float = 5.0  # from SIGTERM until the listeners close: routers notice meanwhile
    drain_s: float = 60.0  # then, for what is in flight
    model_dir: Path = Path(names.MODEL_DIR)
    termination_log: Path = Path(names.TERMINATION_LOG)


def read(environ: Mapping[str, str], sizes: Sizes = _SMALLEST) -> Settings:
    """Parse the environment; LoadError names the variable and what it should hold.

    `sizes` are what suits the container, for what the environment does not say.
    """
    env = _Environment(environ)
    return Settings(
        **_models(env),
        model_version=env.text("MODEL_VERSION", "1"),
        model_digest=env.text("MODEL_DIGEST", ""),
        model_expectations=env.text("MODEL_EXPECTATIONS", ""),
        provider=env.parsed(
            "PROVIDER", Provider.CPU, parse=Provider, expected="auto, cpu, cuda or tensorrt"
        ),
        provider_fallback=env.flag("PROVIDER_FALLBACK", default=True),
        engine_cache=env.path("ENGINE_CACHE"),
        namespace=env.text("NAMESPACE", ""),
        deployment=env.text("DEPLOYMENT", ""),
        revision=env.text("REVISION", ""),
        host=env.text("HOST", "0.0.0.0"),
        http_port=env.integer("HTTP_PORT", names.PORT_HTTP, least=0),
        grpc_port=env.integer("GRPC_PORT", names.PORT_GRPC, least=0),
        any_port=env.integer("ANY_PORT", names.PORT_ANY, least=0),
        threads=env.integer("THREADS", sizes.threads, least=1),
        concurrency=env.integer("CONCURRENCY", sizes.concurrency, least=1),
        queue_max=env.integer("QUEUE_MAX", 256, least=0),
        max_batch_size=env.integer("MAX_BATCH_SIZE", 32, least=1),
        batch_delay_s=env.seconds("BATCH_DELAY_S", 0.0),
        body_bytes_max=env.integer("BODY_BYTES_MAX", _BODY_BYTES_MAX, least=1),
        connections_max=env.integer("CONNECTIONS_MAX", 1024, least=1),
        tls_cert=env.path("TLS_CERT"),
        tls_key=env.path("TLS_KEY"),
        tls_client_ca=env.path("TLS_CLIENT_CA"),
        auth_keys_file=env.path("AUTH_KEYS_FILE"),
        auth_jwks_file=env.path("AUTH_JWKS_FILE"),
        auth_jwt_issuer=env.text("AUTH_JWT_ISSUER", ""),
        auth_jwt_audience=env.text("AUTH_JWT_AUDIENCE", ""),
        auth_jwt_algorithms=env.words("AUTH_JWT_ALGORITHMS") or ("RS256", "ES256"),
        auth_jwt_require=env.words("AUTH_JWT_REQUIRE") or ("exp", "nbf"),
        auth_open=env.words("AUTH_OPEN"),
        access_log=env.parsed(
            "ACCESS_LOG", AccessLogFormat.OFF, parse=AccessLogFormat, expected="off or json"
        ),
        sampled_rows_per_s=env.integer("SAMPLED_ROWS_PER_S", 1000, least=0),
        profile=env.path("PROFILE"),
        grace_s=env.seconds("GRACE_S", 5.0),
        drain_s=env.seconds("DRAIN_S", 60.0),
        model_dir=Path(env.text("MODEL_DIR", names.MODEL_DIR)),
        termination_log=Path(env.text("TERMINATION_LOG", names.TERMINATION_LOG)),
    )


def _models(env: "_Environment") -> dict[str, Any]:
    """The one model, a repository, or both; what there is to say of a repository."""
    repository = env.text("MODEL_REPOSITORY", "")
    name, uri = env.text("MODEL_NAME", ""), env.text("MODEL_URI", "")
    if name or uri or not repository:
        name = env.required("MODEL_NAME", "the name of the model to serve")
        uri = env.required("MODEL_URI", "http(s)://…, s3://BUCKET/KEY or file:///…")
    admin_port = env.integer("ADMIN_PORT", None, least=0)
    if admin_port is not None and not repository:
        repository = env.required("MODEL_REPOSITORY", "a folder of models, for the admin port")
    return {
        "model_name": name,
        "model_uri": uri,
        "model_repository": Path(repository) if repository else None,
        "load_models": env.words("LOAD_MODELS"),
        "exit_on_error": env.flag("EXIT_ON_ERROR", default=True),
        "strict_readiness": env.flag("STRICT_READINESS", default=True),
        "admin_host": env.text("ADMIN_HOST", "127.0.0.1"),
        "admin_port": admin_port,
    }


@dataclass(frozen=True, slots=True)
class _Environment:
    """Typed access to variables with our prefix; an empty variable counts as absent."""

    environ: Mapping[str, str]

    def text(self, name: str, default: str) -> str:
        return self.environ.get(names.SERVER_ENV_PREFIX + name, "") or default

    def required(self, name: str, expected: str) -> str:
        value = self.text(name, "")
        if not value:
            raise LoadError(f"{names.SERVER_ENV_PREFIX}{name} is not set; it must be {expected}")
        return value

    def parsed(self, name: str, default: T, *, parse: Callable[[str], T], expected: str) -> T:
        value = self.text(name, "")
        if not value:
            return default
        try:
            return parse(value)
        except (ValueError, KeyError) as err:
            raise LoadError(
                f"{names.SERVER_ENV_PREFIX}{name} is '{value}'; it must be {expected}"
            ) from err

    def path(self, name: str) -> Path | None:
        value = self.text(name, "")
        return Path(value) if value else None

    def words(self, name: str) -> tuple[str, ...]:
        return tuple(word.strip() for word in self.text(name, "").split(",") if word.strip())

    def flag(self, name: str, *, default: bool) -> bool:
        return self.parsed(name, default, parse=_FLAGS.__getitem__, expected="true or false")

    def integer(self, name: str, default: D, *, least: int) -> int | D:
        def parse(value: str) -> int:
            number = int(value)
            if number < least:
                raise ValueError
            return number

        expected = f"a whole number of at least {least}"
        return self.parsed(name, default, parse=parse, expected=expected)

    def seconds(self, name: str, default: float) -> float:
        def parse(value: str) -> float:
            number = float(value)
            if not 0 <= number < float("inf"):
                raise ValueError
            return number

        return self.parsed(name, default, parse=parse, expected="seconds, at least 0")
