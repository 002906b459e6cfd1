"""Certificates that turn over while a rollout runs: routers reconnect, and clients never know.

No fault but a matter of course; here, because it takes minutes. `SLIPWAY_FAULTS_CERTIFICATE_LIFE`
makes them live for longer than the three minutes that suffice.
"""

import os
import time

import pytest

from bench.scene import SYSTEM_NAMESPACE, install
from bench.trial import Trial
from slipway_api import names
from slipway_api.base import duration_s

pytestmark = pytest.mark.faults

TURN_COUNT = 2


def bundle(trial: Trial) -> dict[str, str]:
    secret = trial.scene.read(
        "secret", names.CERTIFICATES_SECRET, f"--namespace={SYSTEM_NAMESPACE}"
    )
    data: dict[str, str] = secret["data"]
    return data


def test_certificates_turn_over_under_load(trial: Trial) -> None:
    life = os.environ.get("SLIPWAY_FAULTS_CERTIFICATE_LIFE", "3m")
    life_s, turns = duration_s(life), 0
    trial.serve()
    install(trial.scene, {"certificates": {"life": life}})
    try:
        trial.await_whole()
        with trial.load():
            candidate = trial.held_at(50)
            began_at, seen = time.time(), bundle(trial)
            while turns < TURN_COUNT and time.time() < began_at + (TURN_COUNT + 1) * life_s:
                trial.pass_time(5.0)
                now = bundle(trial)
                turns += now["operator.crt"] != seen["operator.crt"]
                seen = now
            # Long enough that every router made connections with what it has now.
            trial.pass_time(life_s / 2)
            assert trial.goes_on(candidate), trial.status()
    finally:
        install(trial.scene)

    trial.note(turns=turns, seconds_of_load=round(time.time() - began_at))
    found = trial.toll()
    assert turns == TURN_COUNT
    assert found.is_nothing, found
