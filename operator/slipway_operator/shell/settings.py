"""The operator's settings, read once from the environment; the chart writes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from slipway_api import logs
from slipway_api.base import duration_s
from slipway_operator.render.workload import ServerImage

PREFIX: Final = "SLIPWAY_OPERATOR_"
LEVELS: Final = ("debug", "info", "warning", "error")


# Below, the mounted Secret of a router might follow too late, see `keys`.
CERTIFICATE_LIFE_MIN: Final = timedelta(minutes=3)
CERTIFICATE_LIFE_DEFAULT: Final = timedelta(days=30)


class SettingsError(Exception):
    """A variable is missing or wrong; the message names it and what it should hold."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`namespace` is the operator's own: routers and certificates are there. `pod` is its name.

    `prometheus_url` None: queries and alerts cannot be judged. `alerts_token_file` None: nobody may
    call for a look at alerts. `bind_address` is where every port listens.
    """

    namespace: str
    pod: str
    server: ServerImage
    log_level: str
    log_format: str = "json"
    prometheus_url: str | None = None
    certificate_life: timedelta = CERTIFICATE_LIFE_DEFAULT
    alerts_token_file: Path | None = None
    bind_address: str = "0.0.0.0"


def read(environment: Mapping[str, str]) -> Settings:
    """Read the environment."""
    level = environment.get(f"{PREFIX}LOG_LEVEL", "info").lower()
    if level not in LEVELS:
        raise SettingsError(f"{PREFIX}LOG_LEVEL must be one of {', '.join(LEVELS)}, not {level!r}")
    form = environment.get(f"{PREFIX}LOG_FORMAT", "json").lower()
    if form not in logs.FORMATS:
        known = ", ".join(logs.FORMATS)
        raise SettingsError(f"{PREFIX}LOG_FORMAT must be one of {known}, not {form!r}")
    image = _required(environment, "SERVER_IMAGE", "the image of the built-in model server")
    policy = environment.get(f"{PREFIX}SERVER_IMAGE_PULL_POLICY", "") or "IfNotPresent"
    token = environment.get(f"{PREFIX}ALERTS_TOKEN_FILE", "")
    return Settings(
        namespace=_required(environment, "NAMESPACE", "the namespace of this pod"),
        pod=_required(environment, "POD", "the name of this pod"),
        server=ServerImage(image, policy),
        log_level=level,
        log_format=form,
        prometheus_url=_url(environment, "PROMETHEUS_URL"),
        certificate_life=_life(environment, "CERTIFICATE_LIFE"),
        alerts_token_file=Path(token) if token else None,
        bind_address=environment.get(f"{PREFIX}BIND_ADDRESS", "") or "0.0.0.0",
    )


def _url(environment: Mapping[str, str], name: str) -> str | None:
    value = environment.get(PREFIX + name, "")
    if not value:
        return None
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        example = "http://prometheus.monitoring:9090"
        raise SettingsError(f"{PREFIX}{name} must be an address such as {example}, not {value!r}")
    return value


def _life(environment: Mapping[str, str], name: str) -> timedelta:
    value = environment.get(PREFIX + name, "")
    life = timedelta(seconds=duration_s(value)) if value else CERTIFICATE_LIFE_DEFAULT
    if life < CERTIFICATE_LIFE_MIN:
        minutes = CERTIFICATE_LIFE_MIN // timedelta(minutes=1)
        raise SettingsError(f"{PREFIX}{name} must be a time of {minutes}m or more, not {value!r}")
    return life


def _required(environment: Mapping[str, str], name: str, meaning: str) -> str:
    value = environment.get(PREFIX + name, "")
    if not value:
        raise SettingsError(f"{PREFIX}{name} is not set: it should hold {meaning}")
    return value
