"""How far routers are open to a candidate, written into the version of their routes and read back.

A restarted operator finds versions only. A hash could be compared with what this process would
render; what another one rendered, with other timeouts, at another step, has to be told in clear.
"""

import re
from typing import Final

from slipway_operator.engine.traffic import SHUT, Match, Opening, Traffic
from slipway_operator.render.envoy_wire import digest

_DIGITS: Final = 8  # of a digest
_HEX: Final = rf"[0-9a-f]{{{_DIGITS}}}"
_FORM: Final = re.compile(
    rf"[0-9a-f]{{16}}-s(?P<stable>{_HEX})-w(?P<weight>\d+)(-m(?P<mirror>\d+))?"
    rf"(-f(?P<match>{_HEX}))?(-r(?P<candidate>{_HEX}))?"
)


def mark(traffic: Traffic) -> str:
    """Say how far routes are open, and to whom.

    `-s0e1c…-w0` is shut; `-s0e1c…-w5-m25-f77ab…-r93d0…` gives the candidate 5 % and copies of 25 %,
    and leads some requests to it.
    """
    stable = f"-s{_name(traffic.stable.revision if traffic.stable else '')}"
    opening = traffic.opening
    if opening == SHUT:
        return f"{stable}-w0"
    mirror = f"-m{opening.mirror_percent}" if opening.mirror_percent else ""
    match = f"-f{_name_of_match(opening.match)}" if opening.match else ""
    return f"{stable}-w{opening.weight_percent}{mirror}{match}-r{_name_of_candidate(traffic)}"


def read(shown: str, traffic: Traffic) -> Opening | None:
    """Tell how far routes of this version are open to the candidate of `traffic`'s rollout.

    Matches are known by their digest: others than those of `traffic` count as none. None: the
    candidate is stable there, or the version is of another form.
    """
    assert traffic.candidate is not None
    found = _FORM.fullmatch(shown)
    if found is None or found["stable"] == _name(traffic.candidate.revision):
        return None
    if found["candidate"] != _name_of_candidate(traffic):
        return SHUT
    is_same_match = found["match"] == _name_of_match(traffic.match)
    return Opening(
        weight_percent=int(found["weight"]),
        mirror_percent=int(found["mirror"] or 0),
        match=traffic.match if is_same_match else (),
    )


def _name_of_candidate(traffic: Traffic) -> str:
    assert traffic.candidate is not None
    return _name(f"{traffic.salt} {traffic.candidate.revision}")


def _name_of_match(match: tuple[Match, ...]) -> str:
    return _name(repr(sorted((one.kind, one.name, one.value) for one in match)))


def _name(text: str) -> str:
    return digest(text.encode())[:_DIGITS]
