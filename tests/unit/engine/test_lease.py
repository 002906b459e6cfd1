"""The rules of the Lease: two holders never write at once, whatever stops or freezes."""

from hypothesis import given
from hypothesis import strategies as st

from slipway_operator.adapters import kube_http
from slipway_operator.engine import lease
from slipway_operator.engine.lease import Claim, Sighting, Tenure

ME = "operator-a_1"
OTHER = Claim("operator-b_1", lease.LEASE_S, "12:00:00", 3)


def watched(claim: Claim, *looks_s: float) -> Sighting:
    """Look at one unchanged claim at these times."""
    sighting = None
    for now_s in looks_s:
        sighting = lease.sight(sighting, claim, now_s=now_s)
    assert sighting is not None
    return sighting


def test_a_claim_that_was_watched_unchanged_for_its_time_is_free() -> None:
    almost = watched(OTHER, *range(100, 106))
    whole = lease.sight(almost, OTHER, now_s=106)

    assert not lease.may_take(almost, me=ME)
    assert lease.may_take(whole, me=ME)


def test_a_renewal_is_seen_by_its_change_and_begins_the_time_anew() -> None:
    old = watched(OTHER, *range(100, 107))
    renewed = lease.sight(old, lease.take(OTHER, me=OTHER.holder, renewed="12:00:05"), now_s=107)

    assert not lease.may_take(renewed, me=ME)


def test_time_in_which_nobody_could_look_does_not_count() -> None:
    blind = watched(OTHER, 100, 101, 171, 172)

    assert blind.quiet_s == 2


def test_a_standby_looks_closer_once_a_renewal_is_overdue() -> None:
    assert lease.look_again_s(None) == 1.0
    assert lease.look_again_s(watched(OTHER, 100, 101)) == 1.0
    assert lease.look_again_s(watched(OTHER, 100, 101, 101.5)) == 0.25


def test_a_holder_that_promised_more_time_gets_it() -> None:
    slow = Claim("operator-b_1", 40.0, "12:00:00", 0)

    assert not lease.may_take(watched(slow, *range(100, 139)), me=ME)
    assert lease.may_take(watched(slow, *range(100, 141)), me=ME)


def test_a_lease_that_was_given_back_is_free_at_once() -> None:
    given_back = lease.give_back(OTHER, renewed="12:00:01")

    assert lease.may_take(watched(given_back, 100), me=ME)


def test_a_container_that_was_started_again_goes_on_with_the_lease_of_its_pod() -> None:
    before = Claim("operator-a_0", lease.LEASE_S, "12:00:00", 3)

    assert lease.may_take(watched(before, 100), me=ME)
    assert not lease.may_take(watched(before, 100), me="operator-a-2_1")


def test_a_claim_counts_how_often_the_holder_changed() -> None:
    first = lease.take(None, me=ME, renewed="12:00:00")
    renewed = lease.take(first, me=ME, renewed="12:00:05")
    other = lease.take(renewed, me="operator-b_9", renewed="12:00:25")

    counts = (first.transition_count, renewed.transition_count, other.transition_count)
    assert counts == (0, 0, 1)


def test_writes_end_before_the_lease_and_routers_are_answered_while_awake() -> None:
    """Without an API server a lower weight still goes out; nobody else can have taken over."""
    tenure = lease.renewed(sent_s=100.0)
    for now_s in range(100, 131):
        tenure = lease.awake(tenure, now_s)

    assert lease.may_write(tenure, 102.4)
    assert not lease.may_write(tenure, 102.5)
    assert lease.may_serve(tenure, 130.0)


def test_after_a_freeze_only_a_renewal_lets_routers_be_answered() -> None:
    thawed = lease.awake(Tenure(renewed_s=100.0, awake_s=101.0), 141.0)

    assert not lease.may_serve(thawed, 141.0)
    assert not lease.may_serve(lease.awake(thawed, 141.5), 141.5)
    assert lease.may_serve(lease.renewed(sent_s=142.0), 142.1)


@given(
    sent_s=st.floats(0, 1e6),
    answer_s=st.floats(0, lease.WRITE_S_MAX),
    seen_after_s=st.floats(0, 60),
    looks_s=st.lists(st.floats(0.1, 10), max_size=40),
)
def test_no_write_of_an_old_holder_lands_when_another_may_take_over(
    sent_s: float, answer_s: float, seen_after_s: float, looks_s: list[float]
) -> None:
    """A renewal is seen after it was sent, at the earliest; then the other one looks, or cannot."""
    tenure = lease.renewed(sent_s=sent_s)
    now_s = sent_s + seen_after_s
    sighting = lease.sight(None, OTHER, now_s=now_s)
    for pause_s in looks_s:
        now_s += pause_s
        sighting = lease.sight(sighting, OTHER, now_s=now_s)
        if lease.may_take(sighting, me=ME):
            last_write_lands_s = sent_s + lease.WINDOW_S + answer_s
            assert now_s >= last_write_lands_s - 1e-6
            assert not lease.may_write(tenure, now_s)


def test_the_numbers_keep_holders_apart() -> None:
    assert lease.WINDOW_S + lease.WRITE_S_MAX <= lease.LEASE_S
    assert lease.RENEW_S + 2 * lease.POLL_SOON_S < lease.WINDOW_S
    assert kube_http.WRITE_TIMEOUT_S <= lease.WRITE_S_MAX


def test_a_holder_outlives_a_minute_without_the_api_and_then_ends() -> None:
    assert not lease.is_absent(100.0, 160.0 + lease.RENEW_S)
    assert lease.is_absent(100.0, 190.0)
