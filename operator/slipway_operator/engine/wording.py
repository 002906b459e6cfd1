"""What a gate's numbers mean, in one plain sentence for people.

Odds decide, but people read rates: every sentence carries both sides' counts and percentages. It
must not decide anything.
"""

from math import floor, log10

from slipway_operator.engine.baseline import Past
from slipway_operator.engine.judgement import Counts
from slipway_operator.engine.questions import Question, Subject


def percent(part: int, whole: int) -> str:
    """Write a share in percent.

    >>> percent(31, 40), percent(2, 760), percent(1, 36000), percent(0, 5), percent(5, 5)
    ('77.5 %', '0.3 %', '0.0028 %', '0 %', '100 %')
    """
    return share(part / whole if whole else 0.0)


def share(value: float) -> str:
    """Write a share of one in percent.

    >>> share(0.01), share(0.005)
    ('1 %', '0.5 %')
    """
    number = value * 100
    text = f"{number:.1f}" if number >= 0.1 else f"{number:.2g}"
    return f"{text.removesuffix('.0')} %"


def duration(value_s: float) -> str:
    """Write a duration in the unit that suits it.

    >>> duration(0.0123), duration(0.2), duration(1.5), duration(86), duration(4000)
    ('12.3 ms', '200 ms', '1.5 s', '86 s', '67 min')
    """
    if value_s < 1:
        return f"{value_s * 1000:.3g} ms"
    if value_s < 600:
        return f"{value_s:.1f} s".replace(".0", "") if value_s < 10 else f"{value_s:.0f} s"
    return f"{value_s / 60:.0f} min"


def rounded(count: int) -> int:
    """Round to two digits: a forecast must not look more certain than it is.

    >>> rounded(434), rounded(12345), rounded(7)
    (430, 12000, 7)
    """
    return count if count < 10 else round(count, 1 - floor(log10(count)))


def rates(
    question: Question, counts: Counts, *, tau_s: float | None, past: Past | None = None
) -> str:
    """Say how often both sides were bad; `tau_s` is stable's quantile now, for latency.

    `past` is what stands for stable while it has no traffic.
    """
    n1, x1, n0, x0 = counts
    if question.subject is not Subject.LATENCY:
        verb = "failed" if question.subject is Subject.FAILURES else "refused"
        said = f"candidate {verb} {x1} of {n1} attempts ({percent(x1, n1)}), "
        other = f"stable {x0} of {n0} ({percent(x0, n0)})"
    elif question.increase is not None and question.quantile is not None:
        name = f"p{question.quantile * 100:.0f}"
        now = f" (now {duration(tau_s)})" if tau_s else ""
        said = f"candidate took more than {1 + question.increase:g} × stable's {name}{now} in "
        said += f"{x1} of {n1} answers ({percent(x1, n1)}), "
        other = f"stable more than its {name} in {x0} of {n0} ({percent(x0, n0)})"
    else:
        said = f"candidate took more than {duration(question.latency_max_s or 0.0)} in "
        said += f"{x1} of {n1} answers ({percent(x1, n1)}), "
        other = ""
    if question.ratio is None and question.floor is not None:
        other = f"limit {share(question.floor)}"
    return said + (other if past is None else before(past))


def before(past: Past) -> str:
    """Say what stable showed while it had traffic, and what follows from it.

    >>> before(Past(3000, 2, 0.01)), before(Past(0, 0, 0.05))
    ('stable 2 of 3000 (0.067 %) before: limit 1 %', 'stable was not seen before: limit 5 %')
    """
    n0, x0, limit = past
    seen = f"stable {x0} of {n0} ({percent(x0, n0)}) before" if n0 else "stable was not seen before"
    return f"{seen}: limit {share(limit)}"


def wanted(need: int | None) -> str:
    """Say how many requests a verdict takes, before the candidate has had one.

    >>> wanted(1034), wanted(None)
    (': need about 1000 of the candidate', '')
    """
    return "" if need is None else f": need about {rounded(need)} of the candidate"


def forecast(have: int, need: int | None, *, rate_hz: float) -> str:
    """Say what is missing for a verdict.

    >>> forecast(600, 434, rate_hz=5.0)
    'have 600 candidate requests, need about 430 more (≈ 87 s at the current rate)'
    >>> forecast(600, None, rate_hz=5.0)
    'have 600 candidate requests, how many more are needed cannot be foreseen at these rates'
    """
    text = f"have {have} candidate requests, "
    if need is None:
        return text + "how many more are needed cannot be foreseen at these rates"
    text += f"need about {rounded(need)} more"
    if rate_hz <= 0:
        return text + " (none arrive at present)"
    return text + f" (≈ {duration(need / rate_hz)} at the current rate)"
