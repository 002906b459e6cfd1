"""From the traffic of one ModelDeployment to everything that a router has to know of it.

Pure: equal input gives equal bytes. The parts are in `envoy_listener`, `envoy_routes` and
`envoy_clusters`.
"""

from dataclasses import dataclass

from slipway_operator.engine.traffic import Traffic
from slipway_operator.render import envoy_clusters, envoy_listener, envoy_opening, envoy_routes
from slipway_operator.render.envoy_wire import Resource

config_hash = envoy_routes.config_hash
opening_of = envoy_opening.read
runtime_resource = envoy_listener.runtime


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """What is the same for all deployments: the address that routers listen on."""

    bind_address: str = "0.0.0.0"  # a router pod has one interface, its port range is its own


def resources(
    traffic: Traffic, *, settings: RouterSettings = RouterSettings()
) -> tuple[Resource, ...]:
    """Render clusters, endpoints, listener and routes, in the order in which they depend."""
    _check(traffic)
    return (
        *envoy_clusters.clusters(traffic),
        *envoy_clusters.endpoints(traffic),
        envoy_listener.listener(traffic, bind_address=settings.bind_address),
        envoy_routes.routes(traffic),
    )


def _check(traffic: Traffic) -> None:
    """Refuse what Envoy would refuse: an update that is turned down stops all later ones."""
    name = f"{traffic.namespace}/{traffic.name}"
    shares = envoy_routes.shares(traffic)
    if shares and sum(weight for _, weight in shares) != envoy_routes.WEIGHT_TOTAL:
        raise ValueError(f"weights of {name} must sum to {envoy_routes.WEIGHT_TOTAL}: {shares}")
    if not 0 < traffic.port < 1 << 16:
        raise ValueError(f"port of {name} must be in 1..65535, it is {traffic.port}")
    if any(not match.name for match in traffic.match):
        raise ValueError(f"match of {name} must name a header or a cookie: {traffic.match}")
    if traffic.timeout_s <= 0:
        raise ValueError(f"timeout of {name} must be above 0, it is {traffic.timeout_s}")
