"""Who may act for Slipway: the rules of the Lease that several operators share.

Pure. Every time is one of the observer's own monotonic clock, in seconds: clocks of different
machines are never compared. What the record says of time is only looked at for change.

The arithmetic that keeps two holders apart: a holder stops to write `WINDOW_S` after it *sent* its
last successful renewal, a write lasts at most `WRITE_S_MAX`, and nobody takes the Lease over before
it has *seen* that renewal unchanged for `LEASE_S`. WINDOW_S + WRITE_S_MAX = LEASE_S.
"""

from dataclasses import dataclass, replace
from typing import Final

LEASE_S: Final = 6.0
RENEW_S: Final = 1.0
WINDOW_S: Final = 2.5
WRITE_S_MAX: Final = 3.5
POLL_S: Final = 1.0  # how often a standby looks
POLL_SOON_S: Final = 0.25  # and once a renewal is overdue
BLIND_S_MAX: Final = 4.0  # between two looks; what was not watched does not count as silence
ABSENCE_S_MAX: Final = 90.0  # without the API: outlive a minute's outage with what was judged
_SEPARATOR: Final = "_"  # no pod's name holds one


@dataclass(frozen=True, slots=True)
class Claim:
    """What the Lease says. `holder` is empty if it was given back; `renewed` is opaque."""

    holder: str
    duration_s: float
    renewed: str
    transition_count: int


@dataclass(frozen=True, slots=True)
class Sighting:
    """A claim, when it was seen last, and for how long it was watched without a change."""

    claim: Claim
    seen_s: float
    quiet_s: float


@dataclass(frozen=True, slots=True)
class Tenure:
    """A hold on the Lease: when its last renewal was sent, and when we last knew to be awake."""

    renewed_s: float
    awake_s: float


def identity(pod: str, *, nonce: str) -> str:
    """Name one process: a pod's container may be started again while its Lease still runs."""
    return f"{pod}{_SEPARATOR}{nonce}"


def sight(before: Sighting | None, claim: Claim, *, now_s: float) -> Sighting:
    """Add a look. Time in which nobody could look (no API, or frozen ourselves) does not count."""
    if before is None or before.claim != claim:
        return Sighting(claim, now_s, 0.0)
    gap_s = now_s - before.seen_s
    return Sighting(claim, now_s, before.quiet_s + (gap_s if gap_s <= BLIND_S_MAX else 0.0))


def may_take(sighting: Sighting, *, me: str) -> bool:
    """Tell whether the Lease is free: given back, silent for too long, or our own pod's.

    A container is started again only after the one before has ended, so a claim of the same pod
    is that of a dead process.
    """
    claim = sighting.claim
    if not claim.holder or _pod(claim.holder) == _pod(me):
        return True
    return sighting.quiet_s >= max(LEASE_S, claim.duration_s)


def look_again_s(sighting: Sighting | None) -> float:
    """Tell when a standby looks next."""
    is_overdue = sighting is not None and sighting.quiet_s > RENEW_S
    return POLL_SOON_S if is_overdue else POLL_S


def take(before: Claim | None, *, me: str, renewed: str) -> Claim:
    """Make the claim that takes the Lease, or renews it."""
    count = before.transition_count if before else 0
    if before is not None and before.holder != me:
        count += 1
    return Claim(me, LEASE_S, renewed, count)


def give_back(claim: Claim, *, renewed: str) -> Claim:
    """Make the claim that lets anybody take the Lease at once."""
    return replace(claim, holder="", duration_s=1.0, renewed=renewed)


def may_write(tenure: Tenure, now_s: float) -> bool:
    """Tell whether a write may be sent now."""
    return now_s < tenure.renewed_s + WINDOW_S


def may_serve(tenure: Tenure, now_s: float) -> bool:
    """Tell whether routers may be answered now.

    That goes on without an API server, because nobody else can have taken the Lease there, and
    a lower weight must not wait. It does not go on after we were frozen: then somebody may have.
    """
    return now_s < tenure.awake_s + WINDOW_S


def awake(tenure: Tenure, now_s: float) -> Tenure:
    """Note that we run; after a freeze only a renewal can."""
    return replace(tenure, awake_s=now_s) if may_serve(tenure, now_s) else tenure


def renewed(*, sent_s: float) -> Tenure:
    """Note a renewal that was sent at `sent_s` and has been confirmed."""
    return Tenure(sent_s, sent_s)


def is_absent(reached_s: float, now_s: float) -> bool:
    """Tell whether the API server was away for too long; `reached_s` is when it answered last."""
    return now_s - reached_s >= ABSENCE_S_MAX


def _pod(holder: str) -> str:
    return holder.partition(_SEPARATOR)[0]
