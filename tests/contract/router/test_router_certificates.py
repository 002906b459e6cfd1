"""Who may connect to the operator, and how certificates turn over while routers serve."""

import asyncio
import datetime
from dataclasses import replace

import grpc
import pytest

from slipway_api import names
from slipway_operator.adapters import certificates
from tests.contract.router.pods import until
from tests.contract.router.stage import OWNER, Stage, admin

pytestmark = pytest.mark.contract

LIFE = datetime.timedelta(hours=1)
SHORT_LIFE = datetime.timedelta(seconds=9)
TURN_COUNT = 4


def _turned(bundle: dict[str, bytes], *, life: datetime.timedelta = LIFE) -> dict[str, bytes]:
    return certificates.turn(bundle, datetime.datetime.now(datetime.UTC), life=life)


async def _is_served(stage: Stage, client: dict[str, bytes]) -> bool:
    """Ask for health with a client's certificates."""
    trust = grpc.ssl_channel_credentials(
        client[certificates.TRUST],
        client.get(certificates.ROUTER_KEY),
        client.get(certificates.ROUTER_CERTIFICATE),
    )
    options = (("grpc.ssl_target_name_override", names.XDS_SERVER_NAME),)
    target = f"127.0.0.1:{stage.xds_port}"
    async with grpc.aio.secure_channel(target, trust, options=options) as channel:
        try:
            await channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=2)
        except grpc.aio.AioRpcError as error:
            return error.code() is not grpc.StatusCode.UNAVAILABLE
    return True


async def test_a_client_without_certificate_is_refused(stage: Stage) -> None:
    bare = {certificates.TRUST: stage.certificates[certificates.TRUST]}

    assert await _is_served(stage, stage.certificates)
    assert not await _is_served(stage, bare)


async def test_a_leaf_of_another_authority_is_refused(stage: Stage) -> None:
    stranger = certificates.make(datetime.datetime.now(datetime.UTC), life=LIFE)
    ours, stage.certificates = stage.certificates, stranger

    await stage.router()
    stage.certificates = ours
    await asyncio.sleep(1)  # what must not happen gets its chance

    assert stage.ads.routers() == ()


async def test_old_and_new_know_each_other_for_one_turn_and_no_longer(stage: Stage) -> None:
    """Whoever connects first after a turn: one side has the new certificates, one the old."""
    first = stage.certificates
    second = stage.certificates = _turned(first)
    after_one_turn = await _is_served(stage, first)
    third = stage.certificates = _turned(second)

    served = [await _is_served(stage, client) for client in (first, second, third)]

    assert after_one_turn
    assert [False, True, True] == served


async def test_routers_take_new_certificates_without_a_restart(stage: Stage) -> None:
    await stage.router()
    await until(lambda: stage.ads.routers())
    before = await admin(stage, "/certs")

    stage.certificates = _turned(stage.certificates)
    stage.remount("router-0")

    async with asyncio.timeout(3):
        while before == await admin(stage, "/certs"):
            await asyncio.sleep(0.05)


async def test_certificates_turn_over_under_load_and_nothing_is_lost(stage: Stage) -> None:
    """Each lives for seconds: whoever kept one for longer than a turn could not connect again."""
    now = datetime.datetime.now(datetime.UTC)
    await stage.xds.stop(0)
    stage.certificates = certificates.make(now, life=SHORT_LIFE)
    stage.connection_s_max = SHORT_LIFE.total_seconds() / 4
    await stage.open()
    stable, candidate = await stage.canary(30)
    turn_s = SHORT_LIFE.total_seconds() * 2 / 3
    load = asyncio.create_task(stage.rest(round(50 * turn_s * TURN_COUNT), rate=50))

    for number in range(TURN_COUNT):
        stage.certificates = _turned(stage.certificates, life=SHORT_LIFE)
        await asyncio.sleep(1)  # the kubelet is late
        stage.remount("router-0")
        await asyncio.sleep(turn_s - 1)
        traffic = stage.new_traffic(stable, candidate)
        await until(lambda: stage.ads.routers(), timeout_s=2)
        stage.put(replace(traffic, weight_percent=10 + number))
        assert await stage.ads.settled(OWNER)

    ended = await load
    assert ended.error_count == 0
    assert len(stage.ended()) >= 0.98 * ended.count
    assert stage.ads.routers()
