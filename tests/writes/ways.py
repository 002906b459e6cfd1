"""Ways: where a router's configuration leads requests, and what may never be seen of it. Pure.

A way is a revision for its share of plain requests, `copies REVISION` for a mirror, and `HEADER
REVISION` for requests that a header leads there.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from envoy.config.route.v3 import route_pb2

from slipway_operator.render import envoy_names
from slipway_operator.render.envoy_routes import WEIGHT_TOTAL

Shares = dict[str, int]  # percent by way, those without a share left out

COPIES: Final = "copies"


def shares_of(routes: route_pb2.RouteConfiguration) -> Shares:
    """Read which share of the REST requests goes which way."""
    parts: Counter[str] = Counter()
    for route in routes.virtual_hosts[0].routes:
        action = route.route
        if route.match.HasField("grpc") or not route.HasField("route"):
            continue
        for header in route.match.headers:
            parts[f"{header.name} {_revision(action.cluster)}"] += WEIGHT_TOTAL
        for weighted in action.weighted_clusters.clusters:
            parts[_revision(weighted.name)] += weighted.weight.value
        for mirror in action.request_mirror_policies:
            percent = mirror.runtime_fraction.default_value.numerator
            parts[f"{COPIES} {_revision(mirror.cluster)}"] += percent * WEIGHT_TOTAL // 100
    return {way: part * 100 // WEIGHT_TOTAL for way, part in parts.items() if part}


def revision_of(way: str) -> str:
    """Tell where a way leads.

    >>> revision_of("copies churn-1"), revision_of("churn-1")
    ('churn-1', 'churn-1')
    """
    return way.rpartition(" ")[2]


def faults(shares: Shares, pods: Callable[[str], int]) -> Iterator[str]:
    """Tell what is wrong with shares, given how many pods the router knows on a way."""
    total = sum(percent for way, percent in shares.items() if " " not in way)
    if shares and total != 100:
        yield f"shares sum to {total}"
    for way, percent in shares.items():
        if not pods(way):
            yield f"{way} has {percent} % and no pod"


def told(history: list[Shares]) -> str:
    """Write a history short: the last characters of each way's name and its share.

    >>> told([{"churn-0001": 100}, {"churn-0001": 100, "copies churn-0002": 20}])
    '0001=100 → 0001=100+copies 0002=20'
    """
    return " → ".join(
        "+".join(f"{_short(way)}={share}" for way, share in shares.items()) for shares in history
    )


def _short(way: str) -> str:
    how, space, revision = way.rpartition(" ")
    return f"{how}{space}{revision[-4:]}"


def _revision(cluster: str) -> str:
    parsed = envoy_names.parse(cluster)
    assert parsed is not None, cluster
    return parsed.revision
