"""Clients: who answers what they send, by what routers were asked for and which pods are there.

A share's requests go along its chain: the revision's own pods, stable's, and whatever pod stable's
Service finds at that moment (docs/traffic.md). Envoy is held to that by the contract tests.
"""

from enum import StrEnum

from slipway_operator.engine.traffic import Backend, Traffic
from slipway_operator.render import envoy_routes
from tests.unit.model.stage import Stage


class Answer(StrEnum):
    """What a request comes to."""

    POD = "answered by a pod"
    STATIC = "answered statically"
    NONE = "not answered"


def answers(stage: Stage, traffic: Traffic) -> frozenset[Answer]:
    """List what requests may come to at a router that does what it was asked for."""
    assert traffic.stable is not None
    led = [backend for backend, _ in envoy_routes.shares(traffic)]
    if traffic.match and traffic.candidate is not None:
        led.append(traffic.candidate)
    return frozenset(_answer(stage, traffic, (backend, traffic.stable)) for backend in led)


def pods_up(stage: Stage, revision: str | None) -> frozenset[str]:
    """Name the addresses of a revision's pods that are ready and take connections."""
    mine = stage.revisions.get(revision or "")
    pods = () if mine is None else mine.pods.values()
    return frozenset(pod.host for pod in pods if pod.is_ready) - stage.silent


def _answer(stage: Stage, traffic: Traffic, chain: tuple[Backend, Backend]) -> Answer:
    last = chain[-1]
    tried = [pods_up(stage, each.revision).intersection(each.endpoints) for each in chain]
    if last.cluster_ip is not None:
        tried.append(pods_up(stage, last.revision))
    if any(tried):
        return Answer.POD
    return Answer.NONE if traffic.static_answer is None else Answer.STATIC
