"""When a stopping router may end."""

from slipway_operator.router.admin import Traffic
from slipway_operator.router.drain import Drain


def _drain(traffic: Traffic) -> Drain:
    return Drain.begin(traffic, now_s=100.0, quiet_s=5.0, longest_s=120.0)


def test_a_router_without_traffic_ends_after_the_quiet_time() -> None:
    drain = _drain(Traffic(0, 0, 0))

    assert not drain.seen(Traffic(0, 0, 0), now_s=104.9).is_over(104.9)
    assert drain.seen(Traffic(0, 0, 0), now_s=105.0).is_over(105.0)


def test_a_new_connection_or_request_starts_the_quiet_time_again() -> None:
    for newer in (Traffic(2, 1, 0), Traffic(1, 2, 0)):
        drain = _drain(Traffic(1, 1, 0)).seen(newer, now_s=104.0)

        assert not drain.seen(newer, now_s=106.0).is_over(106.0)
        assert drain.seen(newer, now_s=109.0).is_over(109.0)


def test_a_request_in_flight_holds_the_router() -> None:
    drain = _drain(Traffic(1, 1, 1)).seen(Traffic(1, 1, 1), now_s=150.0)

    assert not drain.is_over(150.0)
    assert drain.seen(Traffic(1, 1, 0), now_s=150.0).is_over(150.0)


def test_no_drain_lasts_longer_than_its_limit() -> None:
    drain = _drain(Traffic(1, 1, 1)).seen(Traffic(9, 9, 9), now_s=219.0)

    assert not drain.is_over(219.9)
    assert drain.is_over(220.0)
